//! What a person sees: lines, files, a request beside its copies.

use std::io::{self, Write as _};

use super::backend::Received;

/// Columns for each of the two sides.
const SIDE: usize = 44;

/// Prints a line. A reader that went away is no reason to stop.
pub(super) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints what is in a file.
pub(super) fn file(text: &str) {
    line("");
    text.lines().for_each(|written| line(format!("    {written}").trim_end()));
    line("");
}

/// Prints a request and its copy, line by line; what stands on one side only is marked.
pub(super) fn pair(
    number: u32,
    title: &str,
    answer: &str,
    original: &Received,
    copy: Option<&Received>,
) {
    line("");
    line(&format!("{number}. {title} ({answer})"));
    row(' ', "production received", ' ', "shadow received");
    let Some(copy) = copy else {
        for left in &original.lines {
            row('-', left, ' ', "");
        }
        line("   NO COPY ARRIVED");
        return;
    };
    let mut rest = copy.lines.iter().peekable();
    for left in &original.lines {
        if copy.lines.contains(left) {
            // What the copy has before this line is its own.
            while let Some(right) = rest.next_if(|right| *right != left) {
                row(' ', "", '+', right);
            }
            rest.next();
            row(' ', left, ' ', left);
        } else {
            row('-', left, ' ', "");
        }
    }
    for right in rest {
        row(' ', "", '+', right);
    }
    if !original.body.is_empty() || !copy.body.is_empty() {
        row(' ', "", ' ', "");
        let mark = if original.body == copy.body { ' ' } else { '+' };
        row(' ', &original.body, mark, &copy.body);
    }
}

/// Prints in which lines the copy that `name` received differs from the request.
pub(super) fn difference(name: &str, original: &Received, copy: &Received) {
    line(&format!("   {name} received the same but for"));
    for removed in original.lines.iter().filter(|line| !copy.lines.contains(line)) {
        line(&format!(" - {}", cut(removed)));
    }
    for added in copy.lines.iter().filter(|line| !original.lines.contains(line)) {
        line(&format!(" + {}", cut(added)));
    }
    if original.body != copy.body {
        line(&format!(" + {}", cut(&copy.body)));
    }
}

fn row(left_mark: char, left: &str, right_mark: char, right: &str) {
    let text = format!(" {left_mark} {:<SIDE$} {right_mark} {}", cut(left), cut(right));
    line(text.trim_end());
}

/// As much as fits a side. Control characters do not reach the terminal.
fn cut(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().count() <= SIDE {
        return text;
    }
    text.chars().take(SIDE - 1).chain(['…']).collect()
}
