//! Every configuration of HAProxy in this repository is read without a mistake, and comes back byte for byte.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::fs;
use std::path::{Path, PathBuf};

use haproxy_config::{Document, MistakeKind, Surroundings, Syntax, parse};

#[test]
fn examples_are_read() {
    let examples = root().join("packaging/examples");
    let haproxy = read(&fs::read(examples.join("haproxy.cfg")).unwrap(), Syntax::Haproxy);
    assert_eq!(haproxy.mistakes, []);
    let spoe = read(&fs::read(examples.join("mirror.conf")).unwrap(), Syntax::Spoe);
    assert_eq!(spoe.mistakes, []);
    let scopes = spoe.scopes();
    assert_eq!((scopes[0].name, scopes[0].agents.len()), (Some(&b"mirror"[..]), 1));
    let args = scopes[0].messages[0].lines.iter().flat_map(|line| line.arguments());
    assert!(args.into_iter().all(|argument| argument.name.is_some()));
}

#[test]
fn blocks_of_the_documentation_are_read() {
    let mut count = 0;
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        for (fence, syntax) in [("```haproxy\n", Syntax::Haproxy), ("```spoe\n", Syntax::Spoe)] {
            for block in text.split(fence).skip(1) {
                let block = block.split("```").next().unwrap();
                let mut document = read(block.as_bytes(), syntax);
                // Some show only lines of a section that the text around them names.
                document.mistakes.retain(|mistake| mistake.kind != MistakeKind::OutOfSection);
                assert_eq!(document.mistakes, [], "{}:\n{block}", file.display());
                count += 1;
            }
        }
    }
    assert!(count >= 8, "only {count} blocks were found");
}

fn read(text: &[u8], syntax: Syntax) -> Document {
    let document = parse(text, syntax, &Surroundings::default()).unwrap();
    assert_eq!(document.to_bytes(), text);
    document
}

fn documents() -> impl Iterator<Item = PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    docs.chain([root().join("README.md")])
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
