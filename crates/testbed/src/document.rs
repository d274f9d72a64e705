//! Configurations out of a Markdown document, as its readers take them: whole files, and files in which lines
//! stand that the document says to put there.
//!
//! A comment above a block says what it is:
//!
//! - `<!-- files NAME: 2.6 3.0 -->`: `haproxy.cfg` follows, then the SPOE file, for these versions;
//! - `<!-- in NAME as OTHER, for `LINE`: 3.2 -->`: the block stands in place of the line that begins so (blanks
//!   at its beginning aside) in either file of NAME, which makes the files OTHER;
//! - `<!-- in NAME as OTHER, after `LINE`: 3.2 -->`: it stands behind that line.
//!
//! Several blocks that make the same files are all put in, in their order.

use crate::haproxy::Version;

/// A pair of files.
#[derive(Clone, Debug)]
pub struct Files {
    /// What the document calls it.
    pub name: String,
    /// The versions that it is for.
    pub versions: Vec<Version>,
    /// The text of `haproxy.cfg`.
    pub config: String,
    /// The text of the SPOE file.
    pub spoe: String,
}

impl Files {
    /// With one text in place of another.
    ///
    /// # Panics
    /// When neither file has it.
    #[must_use]
    pub fn change(mut self, what: &str, with: &str) -> Self {
        let found = self.config.contains(what) || self.spoe.contains(what);
        assert!(found, "{}: no {what:?}", self.name);
        self.config = self.config.replace(what, with);
        self.spoe = self.spoe.replace(what, with);
        self
    }

    /// Without health checks of the agents.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        let lines = self.config.lines().filter(|line| line.trim() != "option spop-check");
        let lines = lines.map(|line| match line.split_once(" check ") {
            Some((server, _)) if server.trim_start().starts_with("server agent") => server,
            _ => line,
        });
        self.config = lines.map(|line| format!("{line}\n")).collect();
        self
    }

    fn put(&mut self, place: Place, line: &str, block: &str) {
        let files = [&mut self.config, &mut self.spoe];
        let mut found = files.into_iter().filter_map(|file| {
            let whole = file.lines().find(|each| each.trim_start().starts_with(line))?.to_owned();
            Some((file, format!("{whole}\n")))
        });
        let (file, whole) = found
            .next()
            .unwrap_or_else(|| panic!("{} has no line that begins with {line:?}", self.name));
        let with = match place {
            Place::For => block.to_owned(),
            Place::After => format!("{whole}{block}"),
        };
        *file = file.replacen(&whole, &with, 1);
    }
}

#[derive(Clone, Copy)]
enum Place {
    For,
    After,
}

/// All files of a document, those made of others included.
///
/// # Panics
/// When a block of HAProxy's configuration has no comment above it, or one that cannot be followed.
pub fn files(document: &str) -> Vec<Files> {
    let mut all: Vec<Files> = Vec::new();
    let mut lines = document.lines();
    let mut mark = None;
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("<!-- ").and_then(|text| text.strip_suffix(" -->")) {
            mark = Some(text).filter(|text| ["files ", "in "].iter().any(|w| text.starts_with(w)));
        }
        let Some(language @ ("haproxy" | "spoe")) = line.strip_prefix("```") else { continue };
        let block: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        match mark.take() {
            Some(mark) => follow(&mut all, mark, block),
            // The second one of a pair.
            None => match all.last_mut() {
                Some(files) if language == "spoe" && files.spoe.is_empty() => files.spoe = block,
                _ => panic!("nothing says what this block is for:\n{block}"),
            },
        }
    }
    all
}

/// The files of this name.
///
/// # Panics
/// When there are none.
pub fn named(document: &str, name: &str) -> Files {
    let found = files(document).into_iter().find(|files| files.name == name);
    found.unwrap_or_else(|| panic!("no files are called {name}"))
}

fn follow(all: &mut Vec<Files>, mark: &str, block: String) {
    let (what, versions) = mark.rsplit_once(": ").unwrap_or_else(|| panic!("no versions: {mark}"));
    let versions = versions.split(' ').map(version).collect();
    if let Some(name) = what.strip_prefix("files ") {
        let name = name.to_owned();
        all.push(Files { name, versions, config: block, spoe: String::new() });
        return;
    }
    let parts = what.strip_prefix("in ").and_then(|rest| {
        let (names, place) = rest.split_once(", ")?;
        let (of, name) = names.split_once(" as ")?;
        let (word, line) = place.split_once(" `")?;
        let place = match word {
            "for" => Place::For,
            "after" => Place::After,
            _ => return None,
        };
        Some((of, name, place, line.strip_suffix('`')?))
    });
    let (of, name, place, line) = parts.unwrap_or_else(|| panic!("cannot be followed: {mark}"));
    if !all.iter().any(|files| files.name == name) {
        let base = all.iter().find(|files| files.name == of);
        let base = base.unwrap_or_else(|| panic!("no files are called {of}: {mark}")).clone();
        all.push(Files { name: name.to_owned(), versions, ..base });
    }
    let files = all.iter_mut().find(|files| files.name == name).expect("it was just made");
    files.put(place, line, &block);
}

fn version(name: &str) -> Version {
    let found = Version::ALL.into_iter().find(|version| version.name() == name);
    found.unwrap_or_else(|| panic!("{name} is none of the tested versions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
<!-- files one: 2.6 3.0 -->
```haproxy
frontend a
    filter x
```

```spoe
[x]
    timeout processing 1s
```
Lines:
<!-- in one as two, for `filter`: 3.0 -->
```haproxy
    filter y
```
<!-- in one as two, after `timeout`: 3.0 -->
```spoe
    log global
```
";

    #[test]
    fn whole_files_and_those_made_of_them() {
        let all = files(DOCUMENT);
        assert_eq!(all.iter().map(|files| files.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(all[0].versions, [Version::V2_6, Version::V3_0]);
        assert_eq!(all[0].spoe, "[x]\n    timeout processing 1s\n");
        assert_eq!(all[1].versions, [Version::V3_0]);
        assert_eq!(all[1].config, "frontend a\n    filter y\n");
        assert_eq!(all[1].spoe, "[x]\n    timeout processing 1s\n    log global\n");
    }

    #[test]
    #[should_panic(expected = "nothing says what this block is for")]
    fn a_block_without_a_comment_is_a_mistake() {
        files("```haproxy\nfrontend a\n```\n");
    }

    #[test]
    #[should_panic(expected = "no line that begins with \"nothing\"")]
    fn a_line_that_is_not_there_is_a_mistake() {
        files(&DOCUMENT.replace("`filter`", "`nothing`"));
    }
}
