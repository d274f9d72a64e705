use std::sync::Arc;

use shadow_diff::{Comparer, Pair as Compared};

use super::*;
use crate::comparison::memory::Memory;
use crate::comparison::pairing::Of;
use crate::comparison::{Extent, HeaderBytes, Subject};
use crate::config::Compare;

const NOW: SystemTime = UNIX_EPOCH;

fn answer(headers: &str, body: &[u8]) -> Recorded {
    Recorded {
        status: 200,
        headers: Some(HeaderBytes::Text(headers.as_bytes().to_vec())),
        body: body.to_vec(),
        extent: Extent::Whole,
        head_time: Some(Duration::from_millis(7)),
        time: None,
    }
}

fn asked(method: &str, target: &str, headers: &str, body: &[u8]) -> Asked {
    Asked {
        method: method.into(),
        target: target.into(),
        headers: headers.into(),
        body: body.to_vec(),
        body_len: body.len() as u64,
        ..Asked::default()
    }
}

fn sample(asked: Asked, production: Recorded, shadow: Recorded) -> Sample {
    let redaction = Redaction::new(&[]);
    let comparison = {
        let (of_production, of_shadow) = (production.headers().unwrap(), shadow.headers().unwrap());
        let pair = Compared {
            method: &asked.method,
            endpoint: "GET /",
            now: NOW,
            production: production.response(&of_production),
            shadow: shadow.response(&of_shadow),
        };
        Comparer::default().compare(&pair, &redaction)
    };
    let target = Arc::new(Subject { name: "staging".to_owned(), role: Compare::Candidate });
    let pair = Pair {
        target,
        asked: Box::new(asked),
        of: Of::Production,
        production: Arc::new(production),
        shadow: End::Answered(Arc::new(shadow)),
        _weight: Memory::new(0).weight(),
    };
    Sample::of(7, NOW + Duration::from_millis(5), "run 1", "GET /", &pair, &comparison, &redaction)
}

#[test]
fn a_pair_is_shown_with_what_differs() {
    let json = "content-type: application/json\r\n";
    let shown = sample(
        asked("GET", "/a?token=t&b=1", "host: h\r\ncookie: a=1\r\n", b""),
        answer(json, br#"{"price": 1.50, "pin": 1234}"#),
        answer(json, br#"{"price": 2, "pin": 1235}"#),
    );
    assert_eq!((shown.id, shown.at_ms, &*shown.target), (7, 5, "staging"));
    assert!(shown.request.url.starts_with("/a?token=[hidden "), "{}", shown.request.url);
    assert_eq!(shown.request.headers[0], ("host".to_owned(), "h".to_owned()));
    assert_eq!(shown.request.body, ShownBody { lines: vec![], note: "none".to_owned() });
    assert_eq!(shown.production.time_us, Some(7000));
    assert_eq!(shown.production.body.lines[1], "  \"price\": 1.50,");
    assert_eq!(shown.shadow.body.lines[1], "  \"price\": 2,");
    let places: Vec<_> = shown.differences.iter().map(|one| &*one.place).collect();
    assert_eq!(places, ["body $.price", "body $.pin"]);
    let pin = &shown.differences[1];
    assert_ne!(pin.production, pin.shadow);
    let of_body = shown.production.body.lines[2].trim().to_owned();
    assert_eq!(of_body, format!("\"pin\": {}", pin.production.as_deref().unwrap()));
    assert!(shown.bytes() > 500);
}

/// A secret by each of its names, planted everywhere.
#[test]
fn no_secret_is_in_what_is_kept() {
    const SECRET: &str = "Xq7rZp2";
    let json = format!(
        r#"{{"a": [{{"password": "{SECRET}", "b": {{"credentials": {{"c": ["{SECRET}"]}}}}}}], "n": "token={SECRET}", "u": "http://x:{SECRET}@h/"}}"#
    );
    let form = format!("user%5Bpassword%5D={SECRET}&a=1&otp={SECRET}");
    let text =
        format!("password: {SECRET}\n{{\"secret\": \"a {SECRET}\"\nCookie: a={SECRET}; b={SECRET}");
    let xml = format!("<a><token><b>{SECRET}</b></token><c pin=\"{SECRET}\">x</c></a>");
    let html = format!(
        "<!doctype html><form><input name=csrf_token value=\"{SECRET}\"><script>var token = '{SECRET}<{SECRET}'</script>"
    );
    let headers = format!(
        "host: h\r\nauthorization: Bearer {SECRET}\r\nX-Api-Key: {SECRET}\r\ncookie: a={SECRET}; {SECRET}; b={SECRET}\r\nreferer: http://h/?token={SECRET}\r\nset-cookie: s={SECRET}; Path=/\r\nset-cookie: {SECRET}\r\nlocation: /?api_key=a,{SECRET}\r\n"
    );
    let lines = format!("{json}\n{json}\n");
    let members: String = (0..250).map(|at| format!("\"m{at}\": {{\"n\": 1}}, ")).collect();
    let map = format!("{{{members}\"password\": {{\"n\": \"{SECRET}\"}}}}");
    let bodies = [
        ("application/json", &json[..]),
        ("application/json", &json[..json.len() - 30]),
        ("application/json", &json[1..]),
        ("application/json", &map),
        ("application/x-ndjson", &lines),
        ("application/x-www-form-urlencoded", &form),
        ("application/x-www-form-urlencoded", &json),
        ("text/plain", &text),
        ("text/plain", &json),
        ("application/xml", &xml),
        ("application/xml", &xml[..xml.len() - 4]),
        ("text/html", &html),
        ("", &form),
    ];
    for (media, body) in bodies {
        for extent in [Extent::Whole, Extent::Part(None)] {
            let headers = format!("{headers}content-type: {media}\r\n");
            let target = format!("/a;jsessionid={SECRET}?%74oken={SECRET}&a[pin]=x,{SECRET}");
            let production = Recorded { extent, ..answer(&headers, body.as_bytes()) };
            let other = body.replace(SECRET, &format!("{SECRET}{SECRET}")).replace("1", "2");
            let other_headers = headers.replace(SECRET, &format!("{SECRET}{SECRET}"));
            let shadow = Recorded { extent, ..answer(&other_headers, other.as_bytes()) };
            let asked = asked("POST", &target, &headers, body.as_bytes());
            let shown = serde_json::to_string(&sample(asked, production, shadow)).unwrap();
            assert!(!shown.contains(SECRET), "{media} {body}\n{shown}");
            assert!(shown.contains("[hidden "));
        }
    }
}
