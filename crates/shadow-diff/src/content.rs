//! What a body is: its type, its codings, its charset.

use std::borrow::Cow;
use std::io::{self, Read};

use encoding_rs::{Encoding, UTF_8};

use crate::limits::Limits;
use crate::response::Response;

/// How bodies of a type are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Json,
    /// JSON texts one after the other.
    JsonLines,
    Form,
    Xml,
    Html,
    Text,
    /// Bytes that nothing is known of.
    Bytes,
}

impl Family {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::JsonLines => "JSON lines",
            Self::Form => "form data",
            Self::Xml => "XML",
            Self::Html => "HTML",
            Self::Text => "text",
            Self::Bytes => "bytes",
        }
    }

    /// Whether it is text that has no other structure.
    pub(crate) fn has_lines(self) -> bool {
        matches!(self, Self::Html | Self::Text)
    }
}

/// A Content-Type (RFC 9110 section 8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    pub(crate) family: Family,
    charset: Option<String>,
}

impl MediaType {
    /// What the header says, if it is there.
    pub(crate) fn of(response: &Response<'_>) -> Option<Self> {
        let value = response.header(b"content-type").filter(|value| !value.is_empty())?;
        let value = String::from_utf8_lossy(value).to_ascii_lowercase();
        let (essence, parameters) = value.split_once(';').unwrap_or((&value, ""));
        let charset = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            (name.trim() == "charset").then(|| value.trim().trim_matches('"').to_owned())
        });
        Some(Self { family: family(essence.trim()), charset })
    }

    /// What the bytes look like, where no header tells.
    pub(crate) fn guess(body: &[u8]) -> Self {
        let start = body.trim_ascii_start();
        let family = match start.first() {
            Some(b'{' | b'[') => Family::Json,
            _ if body.contains(&0) || std::str::from_utf8(body).is_err() => Family::Bytes,
            _ if starts_like_html(start) => Family::Html,
            _ => Family::Text,
        };
        Self { family, charset: None }
    }

    /// What `text` is, which is said to be of this type: many send JSON and say that it is a form.
    pub(crate) fn seen(mut self, text: &[u8]) -> Self {
        let starts_like_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
        if self.family == Family::Form && starts_like_json {
            self.family = Family::Json;
        }
        self
    }

    /// The text in UTF-8, as it is where it is no text or in UTF-8 already. A byte order mark counts
    /// for more than the charset, and is left out. `None` if the bytes are none of that charset, or
    /// nobody knows it.
    pub(crate) fn text<'b>(&self, body: Cow<'b, [u8]>) -> Option<Cow<'b, [u8]>> {
        if self.family == Family::Bytes {
            return Some(body);
        }
        let (encoding, mark) = match Encoding::for_bom(&body) {
            Some(found) => found,
            None => match &self.charset {
                Some(charset) => (Encoding::for_label(charset.as_bytes())?, 0),
                None => (UTF_8, 0),
            },
        };
        if encoding == UTF_8 {
            return Some(match body {
                body if mark == 0 => body,
                body => Cow::Owned(body.get(mark..).unwrap_or_default().to_vec()),
            });
        }
        let text = body.get(mark..).unwrap_or_default();
        let text = encoding.decode_without_bom_handling_and_without_replacement(text)?;
        Some(Cow::Owned(text.into_owned().into_bytes()))
    }
}

fn starts_like_html(text: &[u8]) -> bool {
    let starts =
        |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    starts(b"<!doctype html") || starts(b"<html")
}

fn family(essence: &str) -> Family {
    match essence {
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/jsonlines"
        | "application/json-lines"
        | "application/json-seq"
        | "application/stream+json"
        | "application/x-json-stream" => Family::JsonLines,
        "application/json" | "text/json" | "application/x-json" => Family::Json,
        "application/x-www-form-urlencoded" => Family::Form,
        "application/xml" | "text/xml" => Family::Xml,
        "text/html" => Family::Html,
        "application/javascript"
        | "application/ecmascript"
        | "application/x-javascript"
        | "application/yaml"
        | "application/x-yaml"
        | "application/toml"
        | "application/sql"
        | "application/graphql" => Family::Text,
        _ if essence.ends_with("+json-seq") => Family::JsonLines,
        _ if essence.ends_with("+json") => Family::Json,
        _ if essence.ends_with("+xml") => Family::Xml,
        _ if essence.ends_with("+yaml") || essence.starts_with("text/") => Family::Text,
        _ => Family::Bytes,
    }
}

/// Why a body could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// Its coding is not known here.
    Unknown,
    /// It is not what its coding says.
    Broken,
    /// It is beyond the limits.
    TooLarge,
}

/// Codings of one body that are taken off, one after the other.
const MAX_CODINGS: usize = 3;
/// Bytes that a body may decode to, however few it has.
const ALWAYS_ALLOWED: usize = 256 * 1024;
/// The window of zstd: no more than 8 MiB (RFC 9659), as a power of two.
const ZSTD_WINDOW: u32 = 23;

/// The codings of a response, in the order in which they were applied, in lower case.
pub(crate) fn codings(response: &Response<'_>) -> Vec<String> {
    let headers = response.headers.iter();
    let values =
        headers.filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding")).map(|(_, v)| *v);
    let codings = values.flat_map(|value| value.split(|&byte| byte == b','));
    codings
        .map(|coding| String::from_utf8_lossy(coding.trim_ascii()).to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect()
}

/// The body without its codings.
pub(crate) fn decoded<'b>(
    body: &'b [u8],
    codings: &[String],
    limits: &Limits,
) -> Result<Cow<'b, [u8]>, Undecodable> {
    if codings.len() > MAX_CODINGS {
        return Err(Undecodable::TooLarge);
    }
    let limit = limits.decoded.min(body.len().saturating_mul(limits.ratio).max(ALWAYS_ALLOWED));
    let mut body = Cow::Borrowed(body);
    for coding in codings.iter().rev() {
        body = Cow::Owned(decode(&body, coding, limit)?);
    }
    if body.len() > limits.decoded { Err(Undecodable::TooLarge) } else { Ok(body) }
}

fn decode(body: &[u8], coding: &str, limit: usize) -> Result<Vec<u8>, Undecodable> {
    match coding {
        "gzip" | "x-gzip" => read(flate2::bufread::MultiGzDecoder::new(body), limit),
        "deflate" => {
            // What RFC 9110 says, or what many send.
            match read(flate2::bufread::ZlibDecoder::new(body), limit) {
                Err(Undecodable::Broken) => read(flate2::bufread::DeflateDecoder::new(body), limit),
                decoded => decoded,
            }
        }
        "br" => read(brotli_decompressor::Decompressor::new(body, 4096), limit),
        "zstd" => {
            let decoder = zstd::stream::read::Decoder::with_buffer(body);
            let mut decoder = decoder.map_err(|_| Undecodable::Broken)?;
            decoder.window_log_max(ZSTD_WINDOW).map_err(|_| Undecodable::Broken)?;
            read(decoder, limit)
        }
        _ => Err(Undecodable::Unknown),
    }
}

fn read(decoder: impl Read, limit: usize) -> Result<Vec<u8>, Undecodable> {
    let mut output = Vec::new();
    let allowed = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read: io::Result<usize> = decoder.take(allowed).read_to_end(&mut output);
    match read {
        Err(_) => Err(Undecodable::Broken),
        Ok(_) if output.len() > limit => Err(Undecodable::TooLarge),
        Ok(_) => Ok(output),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::response::Body;

    fn response<'r>(headers: &'r [(&'r [u8], &'r [u8])]) -> Response<'r> {
        Response { status: 200, headers, body: Body::Unknown }
    }

    fn of(value: &str) -> MediaType {
        MediaType::of(&response(&[(b"Content-Type", value.as_bytes())])).unwrap()
    }

    #[test]
    fn types_are_known_with_parameters_and_suffixes() {
        for (value, family) in [
            ("application/json", Family::Json),
            ("Application/JSON ; charset=UTF-8", Family::Json),
            ("application/problem+json", Family::Json),
            ("application/x-ndjson", Family::JsonLines),
            ("application/x-www-form-urlencoded", Family::Form),
            ("image/svg+xml", Family::Xml),
            ("text/xml;charset=x", Family::Xml),
            ("text/html", Family::Html),
            ("text/css", Family::Text),
            ("application/octet-stream", Family::Bytes),
            ("jsonx", Family::Bytes),
        ] {
            assert_eq!(of(value).family, family, "{value}");
        }
        assert_eq!(MediaType::of(&response(&[])), None);
    }

    #[test]
    fn without_a_type_the_bytes_tell() {
        for (body, family) in [
            (&b" {\"a\":1}"[..], Family::Json),
            (b"hello", Family::Text),
            (b"<!DOCTYPE html><p>", Family::Html),
            (b"\x00\x01", Family::Bytes),
            (b"\xff\xfe", Family::Bytes),
        ] {
            assert_eq!(MediaType::guess(body).family, family, "{body:?}");
        }
    }

    #[test]
    fn json_that_is_said_to_be_a_form_is_json() {
        let form = || of("application/x-www-form-urlencoded");
        assert_eq!(form().seen(b" {\"a\": 1}").family, Family::Json);
        assert_eq!(form().seen(b"a={}").family, Family::Form);
        assert_eq!(of("text/plain").seen(b"{}").family, Family::Text);
    }

    #[test]
    fn texts_are_read_by_their_charset() {
        let text = |value: &str, body: &'static [u8]| {
            of(value)
                .text(Cow::Borrowed(body))
                .map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        let umlaut = Some("\u{e4}".to_owned());
        assert_eq!(text("text/plain", b"\xc3\xa4"), umlaut);
        assert_eq!(text("text/plain; charset=\"ISO-8859-1\"", b"\xe4"), umlaut);
        assert_eq!(text("text/plain; charset=utf-16le", b"\xe4\x00"), umlaut);
        assert_eq!(text("application/json; charset=utf-8", b"\xff\xfe\xe4\x00"), umlaut);
        assert_eq!(text("text/plain", b"\xef\xbb\xbf\xc3\xa4"), umlaut);
        assert_eq!(text("text/plain; charset=utf-16le", b"\xe4"), None);
        assert_eq!(text("text/plain; charset=klingon", b"a"), None);
        assert_eq!(text("image/png; charset=klingon", b"a"), Some("a".to_owned()));
    }

    /// The text in each coding.
    fn coded(text: &[u8]) -> [(&'static str, Vec<u8>); 5] {
        let level = flate2::Compression::default();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), level);
        gzip.write_all(text).unwrap();
        zlib.write_all(text).unwrap();
        raw.write_all(text).unwrap();
        let mut brotli = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams::default();
        brotli::BrotliCompress(&mut &text[..], &mut brotli, &parameters).unwrap();
        [
            ("gzip", gzip.finish().unwrap()),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
            ("br", brotli),
            ("zstd", zstd::encode_all(text, 3).unwrap()),
        ]
    }

    #[test]
    fn every_coding_is_taken_off() {
        let text = b"some text, some text, some text".repeat(20);
        for (coding, body) in coded(&text) {
            let decoded = decoded(&body, &[coding.to_owned()], &Limits::default());
            assert_eq!(decoded.as_deref(), Ok(&text[..]), "{coding}");
            let cut = &body[..body.len() - 5];
            let cut = super::decoded(cut, &[coding.to_owned()], &Limits::default());
            assert_eq!(cut, Err(Undecodable::Broken), "{coding}");
        }
        let twice = coded(&coded(&text)[0].1)[3].1.clone();
        let codings = codings(&response(&[
            (b"content-encoding", b"GZIP, identity"),
            (b"Content-Encoding", b"br"),
        ]));
        assert_eq!(codings, ["gzip", "br"]);
        assert_eq!(decoded(&twice, &codings, &Limits::default()).as_deref(), Ok(&text[..]));
        assert_eq!(
            decoded(b"x", &["lzma".to_owned()], &Limits::default()),
            Err(Undecodable::Unknown)
        );
    }

    #[test]
    fn a_bomb_is_not_blown_up() {
        let zeros = vec![0; 20 << 20];
        for (coding, body) in coded(&zeros) {
            let decoded = decoded(&body, &[coding.to_owned()], &Limits::default());
            assert_eq!(decoded, Err(Undecodable::TooLarge), "{coding}");
        }
        let many = vec!["gzip".to_owned(); 4];
        assert_eq!(decoded(b"", &many, &Limits::default()), Err(Undecodable::TooLarge));
    }

    #[test]
    fn a_window_that_no_browser_would_take_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"x").unwrap();
        let body = encoder.finish().unwrap();
        let decoded = decoded(&body, &["zstd".to_owned()], &Limits::default());
        assert_eq!(decoded, Err(Undecodable::Broken));
    }
}
