//! What `patch` and `git apply` make of the diff is what the files become.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use haproxy_config::{Surroundings, Syntax, parse};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Patch, patch, write};
use crate::doctor::finding::{Change, Code, Edit, Finding, Severity};
use crate::doctor::setup::{File, Files, Kind};

static CODE: Code = Code { name: "some-code", page: "" };

const SECRET: &[u8] = b"  stats auth admin:hush";

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_edits_of_any_files_can_be_applied_as_a_patch(
        texts in prop::collection::vec(text(), 1..3),
        findings in prop::collection::vec(prop::collection::vec(edit(), 1..4), 0..6),
    ) {
        let named: Vec<(String, &[u8])> =
            texts.iter().enumerate().map(|(at, text)| (format!("{at}.cfg"), &text[..])).collect();
        let findings: Vec<Finding> = findings.into_iter().map(finding).collect();
        let patch = patch(&files(&named), &findings);
        let home = home(&named);
        prop_assert_eq!(applied(&home, &patch, "patch"), expected(&named, &patch));
        let home = self::home(&named);
        prop_assert_eq!(applied(&home, &patch, "git"), expected(&named, &patch));
        let shows = patch.diff().windows(SECRET.len()).any(|part| part == SECRET);
        // Those that come or go, and a last line that gets an end, are changes of the line itself.
        let secrets = |text: &[u8]| lines(text).filter(|line| *line == SECRET).count();
        let may = |file: &super::Patched| {
            secrets(&file.old) != secrets(&file.new) || file.old.ends_with(SECRET)
        };
        prop_assert!(!shows || patch.files.iter().any(may), "a secret beside a change is shown");
        for index in &patch.left {
            prop_assert!(!findings[*index].mend.edits.is_empty());
        }
    }
}

/// Lines of all sorts, of which the last may have no end.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => Just(b"  mode http".to_vec()),
        2 => "[ a-z#\"\\\\]{0,12}".prop_map(String::into_bytes),
        1 => Just(SECRET.to_vec()),
        1 => Just(b"# caf\xe9 \xff".to_vec()),
        1 => prop::collection::vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..8),
    ];
    let end = prop_oneof![4 => Just(&b"\n"[..]), 1 => Just(&b"\r\n"[..])];
    (prop::collection::vec((line, end), 0..14), any::<bool>()).prop_map(|(lines, ends)| {
        let mut text: Vec<u8> =
            lines.iter().flat_map(|(line, end)| [line, *end].concat()).collect();
        while !ends && text.ends_with(b"\n") {
            text.pop();
        }
        text
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    let lines = || prop::collection::vec("[ a-zé]{0,8}", 0..3);
    let change = prop_oneof![lines().prop_map(Change::Replace), lines().prop_map(Change::Append)];
    (0_usize..2, 0_usize..16, change).prop_map(|(file, line, change)| Edit { file, line, change })
}

#[test]
fn a_diff_has_one_line_around_a_change_and_shares_it_between_changes() {
    let text = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n";
    let edits = [replace(3, &["x", "y"]), append(4, &["z"]), replace(8, &[])];
    let patch = patch(&files(&[("a.cfg", text)]), &edits.map(|edit| finding(vec![edit])));
    let diff = "--- a.cfg\n+++ a.cfg\n@@ -2,4 +2,6 @@\n 2\n-3\n+x\n+y\n 4\n+z\n 5\n\
                @@ -7,3 +9,2 @@\n 7\n-8\n 9\n";
    assert_eq!(shown(&patch), diff);
    assert_eq!(patch.files[0].new, b"1\n2\nx\ny\n4\nz\n5\n6\n7\n9\n");
    assert!(!patch.is_without_context());
}

#[test]
fn a_line_that_may_hold_a_secret_is_not_shown() {
    let text = b"userlist u\n  user a password x\n  group g\nlisten l\n  stats AUTH a:b\n";
    let edits = [append(1, &["  # new"]), append(3, &["  # new"])];
    let patch = patch(&files(&[("a.cfg", text)]), &edits.map(|edit| finding(vec![edit])));
    let diff = "--- a.cfg\n+++ a.cfg\n@@ -1,0 +2,1 @@\n+  # new\n@@ -3,2 +4,3 @@\n   group g\n+  # new\n listen l\n";
    assert_eq!(shown(&patch), diff);
    assert!(patch.is_without_context());
}

#[test]
fn the_first_to_replace_a_line_does_and_the_others_are_told() {
    let text = b"a\nb\nc\n";
    let findings = [
        finding(vec![replace(2, &["first"])]),
        finding(vec![append(1, &["half"]), replace(2, &["second"])]),
        finding(vec![replace(2, &["first"]), append(2, &["more"])]),
        finding(vec![append(2, &["more"]), append(2, &["and more"])]),
        finding(vec![replace(4, &["none such"])]),
        finding(vec![replace(1, &["x"]), replace(1, &["y"])]),
        finding(Vec::new()),
    ];
    let patch = patch(&files(&[("a.cfg", text)]), &findings);
    assert_eq!(patch.files[0].new, b"a\nfirst\nmore\nand more\nc\n");
    assert_eq!(patch.left, [1, 4, 5], "not by halves");
}

#[test]
fn line_ends_and_bytes_that_are_no_characters_stay() {
    let text = b"a\r\n  b # caf\xe9\r\nc";
    let edits = [replace(2, &["  B # caf\u{fffd}"]), append(3, &["d"])];
    let patch = patch(&files(&[("a.cfg", text)]), &edits.map(|edit| finding(vec![edit])));
    assert_eq!(patch.files[0].new, b"a\r\n  B # caf\xe9\r\nc\r\nd\r\n");

    let patch = super::patch(&files(&[("a.cfg", text)]), &[finding(vec![replace(3, &["c"])])]);
    assert_eq!(patch.files[0].new, b"a\r\n  b # caf\xe9\r\nc\r\n", "HAProxy wants an end");

    let moved = finding(vec![replace(2, &["caf\u{fffd} moved"])]);
    let patch = super::patch(&files(&[("a.cfg", text)]), &[moved]);
    assert_eq!((patch.files.len(), patch.left), (0, vec![0]), "which byte it was is not known");
}

#[test]
fn nothing_to_change_is_an_empty_patch() {
    let patch = patch(&files(&[("a.cfg", b"a\n")]), &[finding(vec![replace(1, &["a"])])]);
    assert!(patch.files.is_empty() && patch.left.is_empty() && patch.diff().is_empty());
}

#[test]
fn names_of_all_sorts_are_found_again() {
    for name in ["a b.cfg", "./a.cfg", "\u{e9}.cfg", "a\\\"b.cfg", "a\tb.cfg", "d/../a.cfg"] {
        for from_root in [false, true] {
            let home = home(&[("d/b.cfg", b"")]);
            let file = home.path().join(name);
            fs::write(&file, "1\n2\n").unwrap();
            let given = if from_root { &file } else { Path::new(name) };
            let patch = patch(&at(given, "1\n2\n"), &[finding(vec![append(1, &["new"])])]);
            if !from_root && patch.command() != "patch -p0" {
                assert!(name.contains(".."), "where it is, is told from the root");
                continue;
            }
            apply(home.path(), &patch, "patch");
            assert_eq!(fs::read_to_string(&file).unwrap(), "1\nnew\n2\n", "{name}");
        }
    }
}

#[test]
fn a_file_behind_a_link_is_named_by_where_it_is() {
    let home = home(&[("real.cfg", b"1\n2\n")]);
    std::os::unix::fs::symlink("real.cfg", home.path().join("link.cfg")).unwrap();
    let link = home.path().join("link.cfg").into_os_string().into_string().unwrap();
    let patch = patch(&files(&[(link, b"1\n2\n")]), &[finding(vec![append(1, &["new"])])]);
    apply(home.path(), &patch, "patch");
    assert_eq!(fs::read(home.path().join("real.cfg")).unwrap(), b"1\nnew\n2\n");

    let refused = write(&patch.files).unwrap_err();
    assert!(
        refused.why.contains("it is a link to ") && refused.why.contains("real.cfg"),
        "{refused}"
    );
}

#[test]
fn files_are_replaced_and_the_old_ones_kept() {
    let home = home(&[("a.cfg", b"1\n2\n")]);
    let path = home.path().join("a.cfg");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let old = fs::metadata(&path).unwrap();
    for (text, new, backup) in
        [("1\n2\n", "x\n2\n", "a.cfg.bak"), ("x\n2\n", "x\ny\n", "a.cfg.bak2")]
    {
        let edit = if text == "1\n2\n" { replace(1, &["x"]) } else { replace(2, &["y"]) };
        let patch = patch(&at(&path, text), &[finding(vec![edit])]);
        assert_eq!(write(&patch.files).unwrap(), [home.path().join(backup)]);
        assert_eq!(fs::read_to_string(&path).unwrap(), new);
        assert_eq!(fs::read_to_string(home.path().join(backup)).unwrap(), text);
        let now = fs::metadata(&path).unwrap();
        assert_eq!((now.mode(), now.uid(), now.gid()), (old.mode(), old.uid(), old.gid()));
    }
    assert_eq!(names(home.path()), ["a.cfg", "a.cfg.bak", "a.cfg.bak2"], "nothing else is left");
}

#[test]
fn a_file_that_changed_meanwhile_or_has_two_names_is_not_replaced() {
    let home = home(&[("a.cfg", b"1\n"), ("b.cfg", b"1\n")]);
    let (a, b) = (home.path().join("a.cfg"), home.path().join("b.cfg"));
    let mut files = at(&a, "1\n");
    files.files.extend(at(&b, "1\n").files);
    let mut second = replace(1, &["y"]);
    second.file = 1;
    let patch = patch(&files, &[finding(vec![replace(1, &["x"]), second])]);

    fs::write(&b, "other\n").unwrap();
    let refused = write(&patch.files).unwrap_err();
    assert_eq!(refused.path, b);
    assert!(refused.why.contains("changed"), "{refused}");
    fs::write(&b, "1\n").unwrap();
    fs::hard_link(&b, home.path().join("c.cfg")).unwrap();
    let refused = write(&patch.files).unwrap_err();
    assert!(refused.why.contains("other names"), "{refused}");
    assert_eq!(fs::read(&a).unwrap(), b"1\n", "none is replaced if one cannot be");
    assert_eq!(names(home.path()), ["a.cfg", "b.cfg", "c.cfg"]);
}

fn finding(edits: Vec<Edit>) -> Finding {
    let mut finding = Finding::new(&CODE, Severity::Warning, "something is wrong");
    finding.mend.edits = edits;
    finding
}

fn replace(line: usize, text: &[&str]) -> Edit {
    Edit {
        file: 0,
        line,
        change: Change::Replace(text.iter().map(|&text| text.to_owned()).collect()),
    }
}

fn append(line: usize, text: &[&str]) -> Edit {
    Edit {
        file: 0,
        line,
        change: Change::Append(text.iter().map(|&text| text.to_owned()).collect()),
    }
}

fn files(named: &[(impl AsRef<Path>, &[u8])]) -> Files {
    let file = |(path, text): &(_, &[u8])| {
        let document = parse(text, Syntax::Haproxy, &Surroundings::default()).unwrap();
        File { path: AsRef::<Path>::as_ref(path).to_owned(), kind: Kind::Haproxy, document }
    };
    Files { files: named.iter().map(file).collect(), ..Files::default() }
}

fn at(path: &Path, text: &str) -> Files {
    files(&[(path, text.as_bytes())])
}

/// A directory with these files.
fn home(named: &[(impl AsRef<Path>, &[u8])]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in named {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home
}

/// What the patch says that the files become.
fn expected(named: &[(String, &[u8])], patch: &Patch) -> Vec<Vec<u8>> {
    let new = |name: &str| patch.files.iter().find(|file| file.path == Path::new(name));
    let named = named.iter();
    named.map(|(name, text)| new(name).map_or(text.to_vec(), |file| file.new.clone())).collect()
}

/// What a tool makes of the files, in the order of their names.
fn applied(home: &TempDir, patch: &Patch, tool: &str) -> Vec<Vec<u8>> {
    if !patch.files.is_empty() {
        apply(home.path(), patch, tool);
    }
    let files = names(home.path()).into_iter().map(|name| home.path().join(name));
    files.filter(|path| path.is_file()).map(|path| fs::read(path).unwrap()).collect()
}

fn apply(directory: &Path, patch: &Patch, tool: &str) {
    let mut arguments: Vec<&str> = patch.command().split(' ').skip(1).collect();
    if tool == "git" {
        arguments = vec!["apply", "-p0"];
        if patch.is_without_context() {
            arguments.push("--unidiff-zero");
        }
    } else {
        // No guessing where a hunk belongs, which would also leave a file behind.
        arguments.extend(["--fuzz=0", "--no-backup-if-mismatch"]);
    }
    let mut child = Command::new(tool)
        .args(&arguments)
        .current_dir(directory)
        .env("GIT_CEILING_DIRECTORIES", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&patch.diff()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{tool} {arguments:?}: {said}\n{}", shown(patch));
    let guessed = said.contains("offset") || said.contains("fuzz");
    assert!(!guessed, "{tool} {arguments:?}: {said}\n{}", shown(patch));
}

fn names(directory: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<OsString> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn shown(patch: &Patch) -> String {
    String::from_utf8_lossy(&patch.diff()).into_owned()
}
