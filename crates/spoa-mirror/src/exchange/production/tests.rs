use spop_proto::{Messages, Value, encode_message};

use super::*;

/// HAProxy's SPOP frame size with the default `tune.bufsize`.
const LIMIT: u32 = 16_380;

const NO_HEADERS: Value<'static> = Value::Binary(b"\0\0");

fn read<T>(arguments: &[(&[u8], Value<'_>)], look: impl FnOnce(Option<Production<'_>>) -> T) -> T {
    let mut payload = Vec::new();
    encode_message(b"answer", arguments, &mut payload);
    let message = Messages::new(&payload, 0).next().unwrap().unwrap();
    look(Production::read(&message))
}

/// The size of a body of which these arguments tell.
fn size(arguments: &[(&[u8], Value<'_>)]) -> Option<u64> {
    let all = [&[(&b"status"[..], Value::Int64(200)), (b"res_hdrs", NO_HEADERS)], arguments];
    read(&all.concat(), |production| production.unwrap().body_size(LIMIT))
}

#[test]
fn names_are_found_with_and_without_the_prefix_in_any_order() {
    for prefix in ["", "arg_"] {
        let name = |name: &str| format!("{prefix}{name}").into_bytes();
        let names = ["res_body", "id", "res_hdrs", "status", "t_header"].map(name);
        let values = [
            Value::Binary(b"body"),
            Value::String(b"the-id"),
            Value::Binary(b"\x01a\x01b\0\0"),
            Value::Int32(404),
            Value::Uint64(12),
        ];
        let arguments: Vec<_> = names.iter().map(Vec::as_slice).zip(values).collect();
        read(&arguments, |production| {
            let production = production.unwrap();
            assert_eq!(production.status, 404);
            assert_eq!((production.body.bytes, production.body.given), (&b"body"[..], true));
            assert_eq!(production.id, Some(&b"the-id"[..]));
            let headers: Vec<_> = production.headers.unwrap().iter().flatten().collect();
            assert_eq!(headers, [(&b"a"[..], &b"b"[..])]);
            assert_eq!(production.time, Some(Duration::from_millis(12)));
            assert!(!production.with_request);
        });
    }
}

#[test]
fn a_message_without_a_status_holds_no_answer() {
    for status in
        [Value::Null, Value::Bool(true), Value::Int64(-1), Value::Int64(99), Value::Int64(1000)]
    {
        assert!(read(&[(b"status", status), (b"id", Value::String(b"a"))], |p| p.is_none()));
    }
    assert!(read(&[(b"res_hdrs", NO_HEADERS)], |p| p.is_none()));
    // A variable keeps its type; text of digits will do.
    assert_eq!(read(&[(b"status", Value::String(b"200"))], |p| p.unwrap().status), 200);
}

#[test]
fn headers_are_known_in_both_forms_and_unknown_without_a_value() {
    let headers = |value| {
        read(&[(b"status", Value::Int64(200)), (b"res_hdrs", value)], |production| {
            let headers = production.unwrap().headers?;
            Some(headers.iter().flatten().map(|(name, _)| name.to_vec()).collect::<Vec<_>>())
        })
    };
    assert_eq!(
        headers(Value::String(b"a: b\r\nc: d\r\n\r\n")),
        Some(vec![b"a".to_vec(), b"c".to_vec()])
    );
    assert_eq!(headers(NO_HEADERS), Some(vec![]));
    assert_eq!(headers(Value::Null), None);
}

#[test]
fn an_empty_id_names_nothing() {
    let id = |value| {
        read(&[(b"status", Value::Int64(200)), (b"id", value)], |p| p.unwrap().id.is_some())
    };
    assert!(id(Value::String(b"a")) && !id(Value::String(b"")) && !id(Value::Null));
}

#[test]
fn only_the_request_itself_makes_it_a_message_with_a_request() {
    let with = |name: &'static [u8], value| {
        let arguments = [(&b"status"[..], Value::Int64(200)), (name, value)];
        read(&arguments, |p| p.unwrap().with_request)
    };
    assert!(with(b"arg_path", Value::String(b"/")) && with(b"hdrs", Value::Binary(b"")));
    // A variable that was over a limit: the message was meant to hold a request.
    assert!(with(b"url", Value::Null));
    assert!(!with(b"method", Value::String(b"GET")));
}

#[test]
fn times_come_from_haproxys_timer_or_two_clocks() {
    let time = |arguments: &[(&[u8], Value<'_>)]| {
        let all = [&[(&b"status"[..], Value::Int64(200))], arguments].concat();
        read(&all, |production| production.unwrap().time)
    };
    let (asked, answered): (&[u8], &[u8]) = (b"t_request", b"t_response");
    let at = Value::Int64;
    assert_eq!(
        time(&[(asked, at(1_700_000_000_000_000)), (answered, at(1_700_000_000_002_500))]),
        Some(Duration::from_micros(2_500))
    );
    let both = [(asked, at(0)), (answered, at(9_000)), (&b"t_header"[..], at(7))];
    assert_eq!(time(&both), Some(Duration::from_millis(7)));
    // HAProxy has no value, and says so with -1.
    let without_timer = [(asked, at(0)), (answered, at(9_000)), (&b"t_header"[..], at(-1))];
    assert_eq!(time(&without_timer), Some(Duration::from_millis(9)));
    // The clock was set back, or ahead by days.
    assert_eq!(time(&[(asked, at(9_000)), (answered, at(0))]), None);
    assert_eq!(time(&[(asked, at(0)), (answered, at(i64::MAX))]), None);
    assert_eq!(time(&[(asked, at(-5)), (answered, at(10))]), None);
    assert_eq!(time(&[(answered, at(10))]), None);
}

#[test]
fn a_body_without_a_length_is_whole_only_if_haproxy_waited_for_all_of_it() {
    let body = (&b"res_body"[..], Value::Binary(b"12345"));
    let of = |size| (&b"res_body_size"[..], Value::Int64(size));
    let waited = (&b"res_body_waited"[..], Value::Bool(true));
    assert_eq!(size(&[body, of(5), waited]), Some(5));
    // `res.body,bytes(0,5)`: the size tells that there is more.
    assert_eq!(size(&[body, of(50), waited]), Some(50));
    for arguments in [
        &[body][..],
        &[body, of(5)],
        &[body, waited],
        &[of(5), waited],
        &[body, of(4), waited],
        &[body, of(5), (b"res_body_waited", Value::Bool(false))],
        &[(b"res_body", Value::Null), of(0), waited],
    ] {
        assert_eq!(size(arguments), None, "{arguments:?}");
    }
}

#[test]
fn a_body_that_fills_haproxys_buffer_may_go_on() {
    let bytes = vec![b'x'; 16_000];
    let sized = |length: usize| {
        size(&[
            (b"res_body", Value::Binary(&bytes[..length])),
            (b"res_body_size", Value::Int64(length.try_into().unwrap())),
            (b"res_body_waited", Value::Bool(true)),
        ])
    };
    assert_eq!(sized(14_000), Some(14_000));
    assert_eq!(sized(15_200), None);
    assert_eq!(sized(16_000), None);
}
