//! What the fuzz targets do with an input. It stands here, not in the targets, so that the seeds
//! can be replayed by a test too.

#[path = "../../crates/spop-proto/tests/support/agent.rs"]
#[allow(dead_code)] // the tests of spop-proto use the rest
mod agent;
mod comparison;
mod endpoint;
mod haproxy_config;
mod shown;

pub use comparison::comparison;
pub use endpoint::endpoint;
pub use haproxy_config::haproxy_config;
pub use shown::shown;

use std::sync::OnceLock;

use agent::{Agent, answers_due};
use serde::de::IgnoredAny;
use spoa_mirror::config::file;
use spoa_mirror::config::{JsonPath, RedactPlace, RedactRule, RedactWith, TargetConfig};
use spoa_mirror::exchange::{Body, Completeness, Exchange, Facts, Headers, RequestTarget, Version};
use spoa_mirror::outcome::DropReason;
use spoa_mirror::policy::Request;
use spoa_mirror::policy::rewrite::Rewriter;
use spop_proto::{
    Actions, Capabilities, Client, Error, ErrorKind, FrameType, HeaderBlock, HeaderBlockError,
    Hello, Items, Messages, Settings, Value, decode_frame, encode_frame, encode_header_block,
    encode_message, needed,
};

/// `data` as one frame of any kind, and as the payload of a NOTIFY and of an ACK.
pub fn frame(data: &[u8]) {
    let _ = Client::new(u32::MAX).receive(data);
    let _ = decode_frame(data, 256);
    messages(data);
    actions(data);
    let Ok(Some(frame)) = decode_frame(data, u32::MAX) else { return };
    let (whole, _) = data.split_at(frame.wire_len());
    assert_eq!(needed(data), Some(whole.len()));
    assert_eq!(decode_frame(&whole[..whole.len() - 1], u32::MAX), Ok(None), "a byte is missing");
    let mut encoded = Vec::new();
    encode_frame(frame.kind, frame.flags, frame.stream_id, frame.frame_id, &mut encoded, |out| {
        out.extend_from_slice(frame.payload);
    });
    assert_eq!(encoded, whole, "a frame has one encoding");
    messages(frame.payload);
    actions(frame.payload);
    let mut items = Items::new(&frame);
    if let Some(error) = items.by_ref().find_map(Result::err) {
        check_error(&error, frame.kind, whole);
    }
    assert!(items.next().is_none(), "nothing follows an error");
}

fn messages(payload: &[u8]) {
    let mut encoded = Vec::new();
    let mut count = 0;
    let mut messages = Messages::new(payload, 0);
    for message in messages.by_ref() {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                check_error(&error, FrameType::Notify, payload);
                break;
            }
        };
        count += 1;
        let arguments: Vec<(&[u8], Value<'_>)> = message.arguments().collect();
        assert_eq!(arguments.len(), message.len(), "arguments that were counted are there");
        for (name, _) in &arguments {
            let first = arguments.iter().find(|(candidate, _)| candidate == name);
            assert_eq!(message.get(name), first.map(|(_, value)| *value));
        }
        encode_message(message.name, &arguments, &mut encoded);
    }
    assert!(messages.next().is_none(), "nothing follows an error");

    // Flags of a type byte mean nothing, except for booleans, so the bytes may differ; the messages
    // may not.
    let mut first = Messages::new(payload, 0);
    let mut second = Messages::new(&encoded, 0);
    for _ in 0..count {
        let (Some(Ok(first)), Some(Ok(second))) = (first.next(), second.next()) else {
            panic!("a message was lost");
        };
        assert_eq!((first.name, first.len()), (second.name, second.len()));
        assert!(first.arguments().eq(second.arguments()));
    }
    assert!(second.next().is_none());
}

fn actions(payload: &[u8]) {
    let mut encoded = Vec::new();
    let mut found = Vec::new();
    let mut actions = Actions::new(payload, 0);
    for action in actions.by_ref() {
        match action {
            Ok(action) => {
                action.encode(&mut encoded);
                found.push(action);
            }
            Err(error) => {
                check_error(&error, FrameType::Ack, payload);
                break;
            }
        }
    }
    assert!(actions.next().is_none(), "nothing follows an error");
    let again: Result<Vec<_>, _> = Actions::new(&encoded, 0).collect();
    assert_eq!(again, Ok(found));
}

fn check_error(error: &Error, kind: FrameType, bytes: &[u8]) {
    assert_eq!(error.frame_type, Some(kind));
    assert!(error.offset <= bytes.len(), "{error}");
    assert!(!matches!(error.kind, ErrorKind::FrameTooLong { .. } | ErrorKind::FrameTooShort));
}

/// `data` as what an agent receives. The first byte chooses the settings and whether a HELLO was
/// exchanged before; the second says how many bytes after it are lengths of pieces, used over and
/// over, in which the rest arrives.
pub fn connection(data: &[u8]) {
    let [choice, pieces, rest @ ..] = data else { return };
    let Some((lengths, stream)) = rest.split_at_checked(usize::from(pieces % 16)) else { return };
    let settings = Settings {
        fragmentation: choice & 1 == 0,
        max_message_size: [1 << 20, 0, 1000, 40_000][usize::from(choice >> 1 & 3)],
        max_frame_size: [1 << 20, 256, 0, 16_380][usize::from(choice >> 3 & 3)],
        ..Settings::default()
    };
    let mut greeting = Vec::new();
    if choice & 0x80 != 0 {
        let capabilities = Capabilities::parse(b"pipelining,async");
        let hello = Hello {
            versions: b"2.0",
            max_frame_size: 16_380,
            capabilities,
            engine_id: None,
            healthcheck: false,
        };
        hello.encode(&mut greeting);
    }

    let agent = || {
        let mut agent = Agent { closes: false, ..Agent::new(settings.clone()) };
        agent.read(&greeting);
        agent
    };
    let mut whole = agent();
    whole.read(stream);
    let due = Settings { max_frame_size: settings.max_frame_size.max(256), ..settings.clone() };
    assert_eq!(whole.answers(), answers_due(&due, &whole.events));
    if !whole.connection.is_closed() {
        let wanted = whole.connection.wanted(&whole.stash);
        assert!(whole.stash.len() < wanted, "a frame that is there in full was not taken");
    }

    let mut cut = agent();
    let mut lengths = lengths.iter().copied().map(usize::from).filter(|&length| length > 0).cycle();
    let mut rest = stream;
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(1).min(rest.len());
        let (piece, behind) = rest.split_at(length);
        cut.read(piece);
        rest = behind;
    }
    assert_eq!(cut.events, whole.events, "in pieces it tells something else");
    assert_eq!(cut.output, whole.output, "in pieces it answers something else");
}

/// `data` as a block of headers.
pub fn header_block(data: &[u8]) {
    let found: Vec<_> = HeaderBlock::new(data).collect();
    let (last, before) = found.split_last().map_or((None, &found[..]), |(last, before)| {
        if last.is_err() { (Some(last), before) } else { (None, &found[..]) }
    });
    let headers: Vec<(&[u8], &[u8])> =
        before.iter().map(|header| header.expect("an error is the last item")).collect();
    let mut encoded = Vec::new();
    encode_header_block(headers.iter().copied(), &mut encoded);
    let pairs = encoded.len() - 2;
    assert_eq!(encoded[..pairs], data[..pairs], "a header has one encoding");
    match last {
        None => assert_eq!(encoded[pairs..], data[pairs..encoded.len()], "the end mark"),
        Some(Err(HeaderBlockError::Truncated)) => {}
        Some(Err(HeaderBlockError::Malformed)) => {
            // More bytes do not make it better.
            let mut longer = data.to_vec();
            longer.extend_from_slice(&[0; 32]);
            assert_eq!(HeaderBlock::new(&longer).last(), last.copied());
        }
        Some(Ok(_)) => unreachable!("only errors are kept apart"),
    }
}

/// `data` as a JSON body whose fields are set, removed and hidden: what is sent is JSON without what
/// was to go, and what is no JSON is not sent.
pub fn json_body(data: &[u8]) {
    static REWRITER: OnceLock<Rewriter> = OnceLock::new();
    let headers = Headers::Text(b"content-type: application/json\r\n");
    let exchange = Exchange {
        method: b"POST",
        target: RequestTarget::from_url(b"/"),
        version: Version::Http11,
        headers,
        body: Body { bytes: data, given: true, stated_size: None },
        id: None,
        message: spop_proto::Message::default(),
    };
    let facts = Facts::gather(&headers, None);
    let request = Request::new(&exchange, facts, Completeness::Complete, 0);
    let copied = headers.iter().map_while(Result::ok);
    let draft = REWRITER.get_or_init(rewriter).draft(&request, copied, data, false);
    let json = std::str::from_utf8(data).map(serde_json::from_str::<IgnoredAny>);
    match draft {
        Ok(draft) if data.is_empty() => assert!(draft.body().is_empty()),
        Ok(draft) => {
            match json {
                Ok(Ok(_)) => {}
                // It stops one level earlier.
                Ok(Err(error)) if error.to_string().contains("recursion limit") => return,
                _ => panic!("no JSON"),
            }
            assert!(serde_json::from_slice::<IgnoredAny>(draft.body()).is_ok(), "still JSON");
            // Numbers and escapes that have no value are JSON, and cannot be looked at here.
            if let Ok(value) = serde_json::from_slice::<serde_json::Value>(draft.body()) {
                if let Some(object) = value.as_object() {
                    assert_eq!(object.get("set"), Some(&serde_json::Value::from(7)));
                }
                check_hidden(&value);
            }
        }
        Err(reason) => {
            assert_eq!(reason, DropReason::NotRewritable);
            match json {
                Ok(Ok(_)) => panic!("JSON that was not taken for it"),
                _ => return,
            }
        }
    }
}

fn rewriter() -> Rewriter {
    let path = |text| JsonPath::parse(text).expect("a path");
    let url = "http://target".parse().expect("a URL");
    let mut config = TargetConfig::new("target".to_owned(), url);
    config.rewrite.json_set = vec![(path("$.set"), "7".to_owned())];
    config.rewrite.json_remove = vec![path("$..gone")];
    config.redact.rules = vec![RedactRule {
        place: RedactPlace::Field("password".to_owned()),
        with: RedactWith::Text("x".to_owned()),
    }];
    Rewriter::new(&config).expect("there are rules")
}

fn check_hidden(value: &serde_json::Value) {
    match value {
        serde_json::Value::Array(elements) => elements.iter().for_each(check_hidden),
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                assert_ne!(name, "gone");
                let letters = name.replace(['_', '-'], "").to_ascii_lowercase();
                if letters == "password" {
                    assert_eq!(value, "x");
                }
                check_hidden(value);
            }
        }
        _ => {}
    }
}

/// `data` as a configuration file, where every variable is set.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let secret = "a-secret-of-the-environment";
    let environment = |_: &str| Some(secret.to_owned());
    let read = || file::parse(std::path::Path::new("/nowhere/mirror.toml"), text, &environment);
    let (config, report) = match read() {
        Ok((config, warnings)) => (Some(config), warnings),
        Err(report) => (None, report),
    };
    assert_eq!(config.is_none(), report.has_errors());
    let shown = [report.text(true), report.text(false), report.lines().concat()];
    assert!(text.contains(secret) || shown.iter().all(|shown| !shown.contains(secret)));
    for finding in report.json().as_array().into_iter().flatten() {
        let Some(line) = finding["line"].as_u64() else { continue };
        assert!(line >= 1 && line as usize <= text.split('\n').count());
        assert!(finding["column"].as_u64().is_some_and(|column| column >= 1));
    }
    if let Some(config) = config {
        assert_eq!(read().ok().map(|(config, _)| config), Some(config));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_seed_passes() {
        for (target, run) in [
            ("frame", super::frame as fn(&[u8])),
            ("connection", super::connection),
            ("header_block", super::header_block),
            ("json_body", super::json_body),
            ("configuration", super::configuration),
            ("comparison", super::comparison),
            ("shown", super::shown),
            ("endpoint", super::endpoint),
            ("haproxy_config", super::haproxy_config),
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
            let mut seeds = 0;
            for entry in fs::read_dir(&folder).expect("a folder of seeds") {
                run(&fs::read(entry.expect("an entry").path()).expect("a seed"));
                seeds += 1;
            }
            assert!(seeds > 5, "{target} has {seeds} seeds");
        }
    }
}
