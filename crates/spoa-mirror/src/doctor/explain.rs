//! `spoa-mirror doctor --explain`: what a finding means, why it matters, and what to do.

use std::fmt::Write as _;

use super::finding::Code;
use super::live;
use super::rules::TOPICS;
use super::shown::wrapped;

/// Columns of a page, and of the list.
const WIDTH: usize = 100;
/// A name that is as close as this to the one asked for was probably meant.
const CLOSE: f64 = 0.6;

/// The page of a code as text, or the list of all.
///
/// # Errors
/// That there is no such code, with those that may be meant.
pub(super) fn page(name: &str, styled: bool) -> Result<String, String> {
    if name == "list" {
        return Ok(list(styled));
    }
    let code = codes().find(|code| code.name == name).ok_or_else(|| unknown(name))?;
    Ok(plain(code.page, styled))
}

/// What codes are about, and the codes. Those that only a running HAProxy or agent shows come last, as "What
/// runs".
fn topics() -> impl Iterator<Item = (&'static str, &'static [&'static Code])> {
    let topics = TOPICS.iter().map(|(title, topic)| (*title, topic.codes));
    let live = std::iter::once(("What runs", live::CODES));
    topics.filter(|(_, codes)| !codes.is_empty()).chain(live)
}

fn codes() -> impl Iterator<Item = &'static Code> {
    topics().flat_map(|(_, codes)| codes.iter().copied())
}

fn unknown(name: &str) -> String {
    let mut near: Vec<(f64, &str)> = codes()
        .map(|code| (likeness(name, code.name), code.name))
        .filter(|(likeness, _)| *likeness >= CLOSE)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, name)| name).collect();
    let meant = match near.is_empty() {
        true => String::new(),
        false => format!("; perhaps {}", near.join(", ")),
    };
    format!("there is no finding `{name}`{meant}; `spoa-mirror doctor --explain list` lists all")
}

/// From 0 to 1. A part of a name is like it, too.
fn likeness(asked: &str, name: &str) -> f64 {
    let whole = strsim::jaro_winkler(asked, name);
    if asked.len() >= 4 && name.contains(asked) { whole.max(0.9) } else { whole }
}

/// All codes by topic, each with what it means.
fn list(styled: bool) -> String {
    let width = codes().map(|code| code.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (title, codes) in topics() {
        let _ =
            writeln!(text, "{}{}:", if text.is_empty() { "" } else { "\n" }, bold(title, styled));
        for code in codes {
            let meaning = first_sentence(code.page);
            let hanging = format!("\n{:width$}    ", "");
            let meaning = wrapped(&meaning, WIDTH.saturating_sub(width + 4)).join(&hanging);
            let _ = writeln!(text, "  {:width$}  {meaning}", code.name);
        }
    }
    text
}

/// What the page says below its title, up to the first full stop.
fn first_sentence(page: &str) -> String {
    let paragraph: Vec<&str> = page
        .lines()
        .skip_while(|line| line.is_empty() || line.starts_with('#'))
        .take_while(|line| !line.is_empty())
        .collect();
    let paragraph = spoken(&paragraph.join(" "));
    match paragraph.find(". ") {
        Some(end) => paragraph[..=end].to_owned(),
        None => paragraph,
    }
}

/// A page of Markdown as text: titles, paragraphs anew in lines, code indented.
fn plain(page: &str, styled: bool) -> String {
    let mut text = String::new();
    let mut paragraph = String::new();
    let mut code = false;
    for line in page.lines() {
        if line.starts_with("```") {
            end(&mut text, &mut paragraph);
            code = !code;
            if !code {
                text.push('\n');
            }
        } else if code {
            let _ = writeln!(text, "{}", format!("    {line}").trim_end());
        } else if let Some(title) = line.strip_prefix('#') {
            end(&mut text, &mut paragraph);
            let _ = writeln!(text, "{}", bold(title.trim_start_matches('#').trim(), styled));
            text.push_str(if title.starts_with('#') { "" } else { "\n" });
        } else if line.is_empty() {
            end(&mut text, &mut paragraph);
            text.push_str(if text.ends_with("|\n") { "\n" } else { "" });
        } else if line.starts_with('|') {
            // A table's columns stand in the page as they shall be seen.
            let _ = writeln!(text, "{line}");
        } else {
            if line.starts_with("- ") {
                finish(&mut text, &mut paragraph);
            }
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim());
        }
    }
    end(&mut text, &mut paragraph);
    let text = text.trim_end();
    format!("{text}\n")
}

/// Ends the paragraph, with an empty line behind it.
fn end(text: &mut String, paragraph: &mut String) {
    if !paragraph.is_empty() {
        finish(text, paragraph);
        text.push('\n');
    }
}

fn finish(text: &mut String, paragraph: &mut String) {
    if paragraph.is_empty() {
        return;
    }
    let hanging = if paragraph.starts_with("- ") { "\n  " } else { "\n" };
    let lines = wrapped(&spoken(paragraph), WIDTH);
    let _ = writeln!(text, "{}", lines.join(hanging));
    paragraph.clear();
}

/// Without what Markdown marks: emphasis, and links, of which the words stay.
fn spoken(text: &str) -> String {
    let mut spoken = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        let link = from.split_once("](").and_then(|(words, behind)| {
            let (_, behind) = behind.split_once(')')?;
            (!words.contains(']')).then_some((words.get(1..)?, behind))
        });
        let Some((words, behind)) = link else {
            spoken.push_str(before);
            spoken.push('[');
            rest = &from[1..];
            continue;
        };
        spoken.push_str(before);
        spoken.push_str(words);
        rest = behind;
    }
    spoken.push_str(rest);
    spoken.replace("**", "")
}

fn bold(text: &str, styled: bool) -> String {
    if styled { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_text() {
        let page = "# name\n\nWhat it is,\nand more. Then.\n\n## Why it matters\n\nA [link](x.md) with **weight** [mirror].\n\n- one\n- two\n  lines\n\n| a |\n|---|\n\n```haproxy\nfrontend x\n    mode http\n```\n";
        assert_eq!(
            plain(page, false),
            "name\n\nWhat it is, and more. Then.\n\nWhy it matters\nA link with weight [mirror].\n\n- one\n- two lines\n\n| a |\n|---|\n\n    frontend x\n        mode http\n"
        );
        assert_eq!(first_sentence(page), "What it is, and more.");
    }

    #[test]
    fn every_page_is_as_pages_are() {
        let mut names: Vec<&str> = codes().map(|code| code.name).collect();
        for code in codes() {
            let name = code.name;
            let lines: Vec<&str> = code.page.lines().collect();
            assert_eq!(lines.first(), Some(&format!("# {name}").as_str()));
            assert!(first_sentence(code.page).ends_with('.'), "{name}: no first sentence");
            for part in ["## Why it matters", "## What to do"] {
                assert!(lines.contains(&part), "{name}: no {part:?}");
            }
            assert!((15..=60).contains(&lines.len()), "{name}: {} lines", lines.len());
            assert!(code.page.matches("```").count() % 2 == 0, "{name}: a fence is open");
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a code is there twice");
    }

    #[test]
    fn what_was_meant_is_found() {
        let name = codes().next().unwrap().name;
        assert!(unknown(&name[1..]).contains(name), "{}", unknown(&name[1..]));
        assert!(!unknown("zzzz").contains("perhaps"));
    }
}
