//! The file of rules that are made while the program runs: `[[rule]]` tables, read and written.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use shadow_diff::{Action, Rule};
use toml::de::DeTable;

use super::super::walk::{Reader, Section};
use super::super::{Report, contents, report};
use super::rule;

const HEAD: &str = "\
# Rules that were made while spoa-mirror ran. It writes this file anew whenever one is made or taken back.
# They are written as [[comparison.rule]] in docs/CONFIGURATION.md.
";

/// Reads a file of rules, 1 MiB and 1000 rules at most; there are none where there is no file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_rules_file(path: &Path) -> Result<Vec<Rule>, Report> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        // To open a pipe may take for ever.
        Ok(metadata) if !metadata.is_file() => {
            Err(Report::unreadable(path, "it is no regular file".to_owned()))
        }
        // What cannot be looked at cannot be opened, which is told.
        Ok(_) | Err(_) => parse(path, &contents(path)?),
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Rule>, Report> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let environment = |name: &str| std::env::var(name).ok();
    let reader = Reader::new(path, text, &environment).of_other_file();
    let rules = rule::read_all(&mut Section::root(&reader, document.get_ref()), "rule");
    let report = report(path, text, reader, &syntax);
    if report.has_errors() { Err(report) } else { Ok(rules) }
}

/// Writes a file of rules in the place of the one that is there. Whoever reads it meanwhile, or after a power
/// failure, finds the old one or the new one. Its directory must be there.
///
/// # Errors
/// It cannot be written; or a rule is none, or there are more than could be read again
/// ([`io::ErrorKind::InvalidInput`]). Then the old file is still there.
pub fn write_rules_file(path: &Path, rules: &[Rule]) -> io::Result<()> {
    let mut text = HEAD.to_owned();
    for rule in rules {
        text.push('\n');
        text.push_str(&rule_table(rule));
    }
    let refused = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    if text.len() as u64 > super::super::MAX_FILE {
        return Err(refused("a file of rules has no more than 1 MiB".to_owned()));
    }
    match parse(path, &text) {
        Ok(read) if read == rules => {}
        Ok(_) => {
            return Err(refused("the rules cannot be written so that they stay the same".into()));
        }
        Err(report) => return Err(refused(report.lines().join("; "))),
    }
    replace(path, text.as_bytes())
}

/// A rule as a `[[rule]]` table.
#[must_use]
pub fn rule_table(rule: &Rule) -> String {
    let mut text = String::from("[[rule]]\n");
    // Writing to a String does not fail.
    let _ = write_rule(&mut text, rule);
    text
}

fn write_rule(text: &mut String, rule: &Rule) -> std::fmt::Result {
    writeln!(text, "endpoint = {}", quoted(&rule.endpoint))?;
    writeln!(text, "place = {}", quoted(&rule.place))?;
    match &rule.action {
        Action::Ignore => writeln!(text, "ignore = true"),
        Action::Set => writeln!(text, "set = true"),
        Action::Map => writeln!(text, "map = true"),
        Action::Keyed(member) => writeln!(text, "keyed-by = {}", quoted(member)),
        Action::Replace { pattern, with } => {
            let (pattern, with) = (quoted(pattern), quoted(with));
            writeln!(text, "replace = {{ pattern = {pattern}, with = {with} }}")
        }
        Action::Tolerance { absolute, relative } => {
            if *absolute != 0.0 || *relative == 0.0 {
                writeln!(text, "tolerance = {absolute:?}")?;
            }
            if *relative != 0.0 {
                writeln!(text, "tolerance-percent = {}", percent(*relative))?;
            }
            Ok(())
        }
    }
}

/// A share in percent, digit for digit: a multiplication would lose some.
fn percent(share: f64) -> String {
    let shortest = format!("{share:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or_default().saturating_add(2);
    if exponent == 0 { digits.to_owned() } else { format!("{digits}e{exponent}") }
}

/// A text as TOML has it, and so that no dollar in it begins a variable.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '$' if matches!(characters.peek(), Some('$' | '{')) => quoted.push_str("$$"),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Puts a file in the place of another.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Where a link leads, so that the link stays.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = path.with_file_name(name);
    let written = write_new(&new, bytes).and_then(|()| std::fs::rename(&new, &path));
    if written.is_err() {
        // It may not be there.
        let _ = std::fs::remove_file(&new);
        return written;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.map_or_else(|| PathBuf::from("."), Path::to_owned))?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What an earlier process of this number left behind.
    let _ = std::fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use proptest::prelude::*;
    use shadow_diff::Rules;

    use super::*;

    fn rule(place: &str, action: Action) -> Rule {
        Rule { endpoint: "*".to_owned(), place: place.to_owned(), action }
    }

    /// Texts with all that TOML, variables and places give a meaning to.
    fn text() -> impl Strategy<Value = String> {
        let pieces =
            ["$", "${", "$$", "${HOME}", "${1}", "}", "\"", "\\", "'", "\n", "\t", "\u{0}"];
        let piece = prop_oneof![
            proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
            proptest::char::any().prop_map(String::from),
        ];
        proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let number = prop_oneof![Just(0.0), Just(0.01), Just(0.07), Just(0.29), 0.0..=1.0];
        let member = text().prop_map(|name| name.replace('\\', "\\\\").replace('"', "\\\""));
        let action = prop_oneof![
            Just(Action::Ignore),
            Just(Action::Set),
            Just(Action::Map),
            (number.clone(), prop_oneof![number, 1e-300..1e300])
                .prop_map(|(relative, absolute)| Action::Tolerance { absolute, relative }),
            text().prop_map(Action::Keyed),
            (text(), text()).prop_map(|(pattern, with)| Action::Replace { pattern, with }),
        ];
        let rule = (text(), member, action).prop_map(|(endpoint, member, action)| Rule {
            endpoint,
            place: format!("$[\"{member}\"]"),
            action,
        });
        let usable = |rule: &Rule| Rules::compile(std::slice::from_ref(rule)).is_ok();
        proptest::collection::vec(rule.prop_filter("no rule", usable), 0..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn what_is_written_is_read_again(rules in rules()) {
            let text: String = rules.iter().map(rule_table).collect();
            let read = parse(Path::new("rules.toml"), &text).map_err(|report| report.text(false));
            prop_assert_eq!(read, Ok(rules), "{}", text);
        }
    }

    #[test]
    fn a_rule_looks_as_a_person_would_write_it() {
        let tolerance = Action::Tolerance { absolute: 0.5, relative: 0.01 };
        let rule = Rule { endpoint: "GET /a".to_owned(), ..rule("$.items[].price", tolerance) };
        let table = "[[rule]]\nendpoint = \"GET /a\"\nplace = \"$.items[].price\"\n\
                     tolerance = 0.5\ntolerance-percent = 1\n";
        assert_eq!(rule_table(&rule), table);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.toml");
        assert_eq!(read_rules_file(&path).unwrap(), []);
        let one = [rule("status", Action::Ignore)];
        write_rules_file(&path, &one).unwrap();
        assert_eq!(read_rules_file(&path).unwrap(), one);
        let inode = std::fs::metadata(&path).unwrap().ino();
        // Who has the old file open reads it to its end.
        let mut old = File::open(&path).unwrap();
        let two = [one[0].clone(), rule("$.a", Action::Set)];
        write_rules_file(&path, &two).unwrap();
        assert_ne!(std::fs::metadata(&path).unwrap().ino(), inode);
        let mut text = String::new();
        io::Read::read_to_string(&mut old, &mut text).unwrap();
        assert!(text.contains("status") && !text.contains("$.a"));
        // What cannot be read again is not written.
        let many = vec![one[0].clone(), rule("nowhere", Action::Ignore)];
        let error = write_rules_file(&path, &many).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("a place is `status`"), "{error}");
        for too_many in [
            vec![one[0].clone(); 1001],
            vec![rule(&format!("$.{}", "a".repeat(1022)), Action::Ignore); 1000],
        ] {
            let error = write_rules_file(&path, &too_many).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(read_rules_file(&path).unwrap(), two);
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let nowhere = directory.path().join("none/rules.toml");
        assert_eq!(write_rules_file(&nowhere, &one).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_link_stays_and_leads_to_the_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let (link, path) = (directory.path().join("link"), directory.path().join("rules.toml"));
        write_rules_file(&path, &[]).unwrap();
        std::os::unix::fs::symlink("rules.toml", &link).unwrap();
        let rules = [rule("status", Action::Ignore)];
        write_rules_file(&link, &rules).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read_rules_file(&path).unwrap(), rules);
    }

    #[test]
    fn mistakes_in_the_file_are_told_with_their_places() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.toml");
        for (text, told) in [
            ("[[rule]]\nplace = \"$.a[0]\"\nignore = true", ":2:14: error: rule.place: brackets"),
            ("[comparison]\nsample = 5", ":1:2: error: comparison: there is no key `comparison`"),
            ("[rule]\nplace = 1", "write [[rule]]"),
            ("[[rule]", "error: "),
        ] {
            std::fs::write(&path, text).unwrap();
            let report = read_rules_file(&path).unwrap_err();
            let lines = report.lines().join("\n");
            assert!(lines.contains(told), "{lines}");
            assert!(!lines.contains("belongs"), "{lines}");
        }
        let report = read_rules_file(directory.path()).unwrap_err();
        assert!(report.text(false).contains("no regular file"));
    }
}
