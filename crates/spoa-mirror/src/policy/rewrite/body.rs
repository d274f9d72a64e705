//! What a body is, and with that which rules are about it.

use crate::policy::view::View;

/// A body by its Content-Type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `application/json`, `text/json`, and what ends in `+json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Pictures, sound, films and fonts: nothing in them has a name.
    Opaque,
    /// Anything else, and what has no type, or several: fields may be in it.
    Unknown,
}

impl Kind {
    pub(super) fn of(view: &View<'_>) -> Self {
        let mut types = view.headers("content-type");
        let (Some(first), None) = (types.next(), types.next()) else { return Self::Unknown };
        let essence = first.split(|&byte| byte == b';').next().unwrap_or_default();
        let essence = essence.trim_ascii().to_ascii_lowercase();
        match essence.as_slice() {
            b"application/json" | b"text/json" => Self::Json,
            b"application/x-www-form-urlencoded" => Self::Form,
            other if other.ends_with(b"+json") => Self::Json,
            // A picture that is text (SVG) may hold anything.
            other if other.ends_with(b"+xml") => Self::Unknown,
            other => {
                let family = other.split(|&byte| byte == b'/').next().unwrap_or_default();
                match family {
                    b"image" | b"audio" | b"video" | b"font" => Self::Opaque,
                    _ => Self::Unknown,
                }
            }
        }
    }
}

/// Whether the body is compressed or otherwise encoded.
pub(super) fn is_encoded(view: &View<'_>) -> bool {
    view.headers("content-encoding")
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// Whether a form looks like JSON: some clients send JSON under the type of forms.
pub(super) fn looks_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}
