//! Covers secrets in what a finding says, and values of variables. Rules quote lines; what is covered where the line
//! is shown must not stand in the sentence above it.

use haproxy_config::Line;

use crate::doctor::finding::Finding;
use crate::doctor::secrets;
use crate::doctor::setup::Files;

/// A shorter secret may be a part of any word, and is left.
const SHORTEST: usize = 3;

/// The finding with its sentences covered. Its changes stay as they are.
pub(crate) fn covered(files: &Files, finding: &Finding) -> Finding {
    let places = finding.place.iter().chain(finding.others.iter().map(|(place, _)| place));
    let places = places.map(|place| (place.file, place.line));
    let edits = finding.mend.edits.iter().map(|edit| (edit.file, edit.line));
    let lines: Vec<&Line> =
        places.chain(edits).filter_map(|(file, line)| numbered(files, file, line)).collect();
    let secret = |line: &&Line| -> Vec<(String, String)> {
        let texts = secrets::texts(&line.raw).into_iter();
        texts.map(|text| (text, secrets::COVER.to_owned())).collect()
    };
    let mut hidden: Vec<(String, String)> = lines.iter().flat_map(secret).collect();
    hidden.extend(lines.iter().flat_map(|line| values(files, line)));
    hidden.retain(|(text, _)| text.len() >= SHORTEST);
    // A longer one first: another may be a part of it.
    hidden.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    let cover = |text: &mut String| {
        for (secret, shown) in &hidden {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), shown);
            }
        }
    };
    let mut finding = finding.clone();
    cover(&mut finding.message);
    cover(&mut finding.consequence);
    cover(&mut finding.mend.say);
    finding.others.iter_mut().for_each(|(_, label)| cover(label));
    finding
}

/// The values of the variables in a line, and their names in their stead.
fn values(files: &Files, line: &Line) -> Vec<(String, String)> {
    let references = line.words.iter().flat_map(|word| &word.references);
    let value = |name: &String| {
        let value = String::from_utf8_lossy(files.values.0.get(name)?).into_owned();
        Some((value, format!("${{{name}}}")))
    };
    references.filter_map(|reference| value(&reference.name)).collect()
}

/// The line of this number, from 1.
pub(super) fn numbered(files: &Files, file: usize, number: usize) -> Option<&Line> {
    let document = &files.files.get(file)?.document;
    document.lines().find(|line| line.number == number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use haproxy_config::{Surroundings, Syntax, parse};

    use super::*;
    use crate::doctor::finding::{Code, Place, Severity};
    use crate::doctor::setup::{File, Kind};

    static CODE: Code = Code { name: "code", page: "" };

    #[test]
    fn sentences_quote_no_secret() {
        let text = b"listen a\n  http-request set-header X-Token \"hunter2 hunter3\" if a\n";
        let document = parse(text, Syntax::Haproxy, &Surroundings::default()).unwrap();
        let path = PathBuf::from("haproxy.cfg");
        let files =
            Files { files: vec![File { path, kind: Kind::Haproxy, document }], ..Files::default() };
        let quoted = "`set-header X-Token \"hunter2 hunter3\"` or hunter2 hunter3";
        let finding = Finding::new(&CODE, Severity::Hint, quoted)
            .at(Place { file: 0, line: 2, span: 2..5 })
            .consequence(quoted)
            .mend(quoted)
            .and_at(Place::file(0), quoted);
        let shown = covered(&files, &finding);
        let expected = "`set-header X-Token ***` or ***";
        assert_eq!(shown.message, expected);
        assert_eq!(shown.consequence, expected);
        assert_eq!(shown.mend.say, expected);
        assert_eq!(shown.others[0].1, expected);
    }
}
