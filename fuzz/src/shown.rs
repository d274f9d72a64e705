//! What people are shown of a body.

use std::sync::OnceLock;

use shadow_diff::{Body, shown};
use spoa_mirror::comparison::Redaction;
use spoa_mirror::comparison::sample::ShownBody;

/// Characters that a few words on what was cut may take.
const WORDS: usize = 60;

/// `data` as a body. The first byte chooses its type and coding, and whether all of it is there.
pub fn shown(data: &[u8]) {
    static REDACTION: OnceLock<Redaction> = OnceLock::new();
    let redaction = REDACTION.get_or_init(|| Redaction::new(&["hide-me".to_owned()]));
    let [choice, bytes @ ..] = data else { return };
    let headers = crate::comparison::headers(choice & 0x3f, bytes);
    let body = match choice & 0x80 {
        0 => Body::Whole(bytes),
        _ => Body::Part { bytes, total: None },
    };
    let shown = ShownBody::of(&headers, body, redaction);
    assert!(shown.lines.len() <= shown::MAX_LINES);
    assert!(shown.lines.iter().map(String::len).sum::<usize>() <= shown::MAX_BYTES);
    for line in &shown.lines {
        assert!(line.chars().count() <= shown::MAX_LINE + WORDS, "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    assert!(!shown.note.contains(char::is_control) && shown.note.len() < 500, "{}", shown.note);
    assert!(!bytes.is_empty() || !shown.note.is_empty(), "nothing is shown, and nobody says why");
    assert_eq!(shown, ShownBody::of(&headers, body, redaction));
    if let Ok(text) = std::str::from_utf8(bytes) {
        secrets(text, &shown);
    }
}

/// What another parser finds in JSON under a name that is hidden, and nowhere else, is not shown.
fn secrets(text: &str, shown: &ShownBody) {
    let Ok(document) = serde_json::from_str::<serde_json::Value>(text) else { return };
    let mut hidden = Vec::new();
    collect(&document, false, &mut hidden);
    for secret in hidden {
        let plain = secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain && secret.len() >= 8 && text.matches(secret).count() == 1 {
            assert!(!shown.lines.iter().any(|line| line.contains(secret)), "{shown:?}");
        }
    }
}

fn collect<'v>(value: &'v serde_json::Value, hide: bool, hidden: &mut Vec<&'v str>) {
    match value {
        serde_json::Value::String(text) if hide => hidden.push(text),
        serde_json::Value::Array(values) => {
            values.iter().for_each(|value| collect(value, hide, hidden));
        }
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                let hide = hide || matches!(&**name, "password" | "Hide_Me" | "api-key");
                collect(value, hide, hidden);
            }
        }
        _ => {}
    }
}
