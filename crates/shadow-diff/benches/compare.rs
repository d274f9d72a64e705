//! How long a comparison takes: `cargo bench -p shadow-diff`.
#![allow(missing_docs, reason = "the macros of criterion make public functions")]

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use criterion::{Criterion, criterion_group, criterion_main};
use flate2::Compression;
use flate2::write::GzEncoder;
use shadow_diff::{Body, Comparer, Comparison, Outcome, Pair, Response, ShowAll};

/// One exchange in both versions.
struct Case {
    name: &'static str,
    media_type: &'static str,
    coding: Option<&'static str>,
    production: Vec<u8>,
    shadow: Vec<u8>,
    outcome: Outcome,
}

impl Case {
    fn compare(&self, comparer: &Comparer) -> Comparison {
        let (production, shadow) = (self.headers("3"), self.headers("4"));
        let response = |headers, body| Response { status: 200, headers, body: Body::Whole(body) };
        let pair = Pair {
            method: b"GET",
            endpoint: "GET /orders",
            now: UNIX_EPOCH + Duration::from_secs(1_767_323_045),
            production: response(&production, &self.production),
            shadow: response(&shadow, &self.shadow),
        };
        comparer.compare(&pair, &ShowAll)
    }

    /// What servers send, with a request id that is another each time.
    fn headers(&self, id: &'static str) -> Vec<(&'static [u8], &'static [u8])> {
        let mut headers: Vec<(&[u8], &[u8])> = vec![
            (b"date", b"Fri, 02 Jan 2026 03:04:05 GMT"),
            (b"content-type", self.media_type.as_bytes()),
            (b"cache-control", b"private, max-age=0"),
            (b"vary", b"accept-encoding, origin"),
            (b"x-frame-options", b"DENY"),
            (b"strict-transport-security", b"max-age=31536000"),
            (b"x-request-id", id.as_bytes()),
        ];
        headers.extend(self.coding.map(|coding| (&b"content-encoding"[..], coding.as_bytes())));
        headers
    }
}

/// Orders of about 250 bytes each. `changed`: one price in ten is another, and each was made now.
fn orders(count: usize, changed: bool) -> Vec<u8> {
    let order = |number: usize| {
        let price = number * 7 + usize::from(changed && number % 10 == 3);
        let second = if changed { 7 } else { 5 };
        format!(
            "{{\"id\":{number},\"sku\":\"A-{number}\",\"name\":\"Umbrella, black, {number} cm\",\
             \"price\":{price}.50,\"currency\":\"EUR\",\"available\":true,\"discount\":null,\
             \"madeAt\":\"2026-01-02T03:04:0{second}Z\",\"tags\":[\"rain\",\"travel\"],\
             \"maker\":{{\"name\":\"Stra\u{df}e & S\u{f6}hne\",\"country\":\"DE\"}}}}"
        )
    };
    let orders: Vec<String> = (0..count).map(order).collect();
    format!("{{\"page\":1,\"orders\":[{}]}}", orders.join(",")).into_bytes()
}

/// A text of that many lines, of which one in fifty is another.
fn text(lines: usize, changed: bool) -> Vec<u8> {
    let line = |number: usize| {
        let word = if changed && number % 50 == 7 { "other" } else { "same" };
        format!("line {number} of a text that says the {word}\n")
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

fn cases() -> Vec<Case> {
    const JSON: &str = "application/json";
    let case = |name, media_type, production: Vec<u8>, shadow: Vec<u8>| Case {
        name,
        media_type,
        coding: None,
        outcome: if production == shadow { Outcome::Same } else { Outcome::Different },
        production,
        shadow,
    };
    let packed = Case {
        coding: Some("gzip"),
        ..case("json-10k-gzip", JSON, gzip(&orders(40, false)), gzip(&orders(40, true)))
    };
    vec![
        case("json-10k-equal", JSON, orders(40, false), orders(40, false)),
        case("json-10k", JSON, orders(40, false), orders(40, true)),
        case("json-100k", JSON, orders(400, false), orders(400, true)),
        packed,
        case("text-10k", "text/plain", text(250, false), text(250, true)),
    ]
}

fn compare(criterion: &mut Criterion) {
    let comparer = Comparer::default();
    for case in cases() {
        assert_eq!(case.compare(&comparer).outcome, case.outcome, "{}", case.name);
        criterion.bench_function(case.name, |bencher| {
            bencher.iter(|| black_box(case.compare(&comparer)));
        });
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);
