//! What the real HAProxy makes of the same text.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use haproxy_config::{Document, Presence, Surroundings, Syntax, parse};
use testbed::haproxy::{Builder, Guide, Haproxy, Version};

/// A configuration that is valid, for what stands beside it.
const VALID: &str = "defaults\n  timeout client 1s\n  timeout connect 1s\n  timeout server 1s\n\
                     listen any\n  bind 127.0.0.1:{port:any}\n";

/// One word each, which is shown as HAProxy reads it.
const WORDS: &[&str] = &[
    r"plain",
    r"a\ b\#c\\d\'e\x41",
    "a\\\"b",
    r"\1\/\$HOME\",
    r#""a  b # 'c'""#,
    r#""a\ b\#\\\'\"\$HOME""#,
    r#"'a b\#"$HOME" # \x'"#,
    r#"a"b c"'d e'f"#,
    "$SET",
    r#""$SET/${SET}x""#,
    r#""[${UNSET}]${UNSET-a b}${SET-c}""#,
    r#""${UNSET[*]}x""#,
    r#""${.LINE}""#,
    "word#comment",
];

const CONDITIONS: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "0x10",
    "017",
    "!1",
    "!!1",
    "1 && 0",
    "1 && 0 || 0x1",
    "0||1&&0",
    "(0 || 1) && !(0)",
    "defined(SET)",
    "defined(UNSET)",
    "streq(\"$SET\",value)",
    "streq(a b,a b)",
    "strneq(a,b)",
    "version_atleast(2.6)",
    "version_atleast(3.0-dev3)",
    "version_before(3.2)",
    "version_atleast(3.4)",
];

/// What begins a section, and the first of the versions that know it.
const SECTIONS: &[(&str, Version)] = &[
    ("backend", Version::V2_6),
    ("cache", Version::V2_6),
    ("crt-store", Version::V3_0),
    ("defaults", Version::V2_6),
    ("fcgi-app", Version::V2_6),
    ("frontend", Version::V2_6),
    ("healthcheck", Version::V3_4),
    ("http-errors", Version::V2_6),
    ("listen", Version::V2_6),
    ("log-forward", Version::V2_6),
    ("log-profile", Version::V3_2),
    ("mailers", Version::V2_6),
    ("namespace_list", Version::V2_6),
    ("peers", Version::V2_6),
    ("program", Version::V2_6),
    ("resolvers", Version::V2_6),
    ("ring", Version::V2_6),
    ("acme", Version::V3_2),
    ("traces", Version::V3_2),
    ("userlist", Version::V2_6),
];

#[test]
fn words_are_read_as_haproxy_reads_them() {
    let notices: String = WORDS.iter().map(|word| format!(".notice {word}\n")).collect();
    let text = VALID.to_owned() + &notices;
    for version in Version::ALL {
        let read = read(&text, version);
        assert_eq!(read.mistakes, [], "{version:?}");
        let said = said(&text, version);
        let notices = read.lines().filter(|line| line.keyword() == Some(b".notice"));
        for line in notices {
            let word = String::from_utf8(line.words[1].text.clone()).unwrap();
            let shown = format!("haproxy.cfg:{}]: '{word}'.", line.number);
            assert!(said.contains(&shown), "{version:?} does not say {shown}:\n{said}");
        }
    }
}

#[test]
fn conditions_are_decided_as_haproxy_decides_them() {
    let blocks: String = CONDITIONS
        .iter()
        .map(|condition| format!(".if {condition}\n.notice yes\n.else\n.notice no\n.endif\n"))
        .collect();
    let text = VALID.to_owned() + &blocks;
    for version in Version::ALL {
        let read = read(&text, version);
        assert_eq!(read.mistakes, [], "{version:?}");
        let said = said(&text, version);
        for line in read.lines().filter(|line| line.keyword() == Some(b".notice")) {
            let place = format!("haproxy.cfg:{}]: '", line.number);
            let taken = line.presence == Presence::Active;
            assert_eq!(said.contains(&place), taken, "{version:?}, line {}\n{said}", line.number);
        }
    }
}

#[test]
fn sections_are_those_of_haproxy() {
    for (keyword, since) in SECTIONS {
        let text = format!("{keyword} x\n");
        for version in Version::ALL {
            assert_eq!(read(&text, version).sections.len(), 1, "{keyword}");
            let gone = *keyword == "program" && version == Version::V3_4;
            let refused = said(&text, version).contains("unknown keyword");
            assert_eq!(refused, version < *since || gone, "{keyword} in {version:?}");
        }
    }
}

#[test]
fn what_is_refused_here_is_refused_by_haproxy() {
    for version in Version::ALL {
        builder(VALID, version).check().unwrap();
    }
    for wrong in [
        ".notice \"x",
        ".notice \\x4z",
        ".notice \"${a\"",
        ".notice \"${1}\"",
        ".notice \"${a[1]}\"",
        ".notice a b",
        ".foo",
        ".endif",
        ".if 1",
        ".if x\n.endif",
        ".if 1\n.else\n.else\n.endif",
        "[a b]",
        "[]",
    ] {
        let text = format!("{VALID}{wrong}\n");
        for version in Version::ALL {
            assert_eq!(read(&text, version).mistakes.len(), 1, "{wrong}");
            let checked = builder(&text, version).check();
            assert!(checked.is_err(), "{version:?} takes {wrong}: {checked:?}");
        }
    }
}

#[test]
fn what_the_tests_use_is_read() {
    let guide = Guide::new("127.0.0.1:1".parse().unwrap());
    for (text, syntax) in
        [(guide.haproxy_cfg(), Syntax::Haproxy), (guide.mirror_conf(), Syntax::Spoe)]
    {
        let document = parse(text.as_bytes(), syntax, &Surroundings::default()).unwrap();
        assert_eq!(document.mistakes, [], "{text}");
        assert_eq!(document.to_bytes(), text.as_bytes());
    }
}

fn read(text: &str, version: Version) -> Document {
    let variable = |name: &str| (name == "SET").then(|| b"value".to_vec());
    let (major, minor) = match version {
        Version::V2_6 => (2, 6),
        Version::V3_0 => (3, 0),
        Version::V3_2 => (3, 2),
        Version::V3_4 => (3, 4),
    };
    let version = Some(haproxy_config::Version { major, minor, patch: None });
    let surroundings = Surroundings { file: "haproxy.cfg", variable: &variable, version };
    parse(text.as_bytes(), Syntax::Haproxy, &surroundings).unwrap()
}

fn said(text: &str, version: Version) -> String {
    builder(text, version).check().unwrap_or_else(|said| said)
}

fn builder(text: &str, version: Version) -> Builder {
    Haproxy::builder(version).config(text).env("SET", "value")
}
