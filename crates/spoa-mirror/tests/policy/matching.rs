//! Requests go to the targets whose rules they meet.

use testbed::client::h2;
use testbed::haproxy::Version;

use crate::running::on_each_haproxy;
use crate::scene::{Scene, Target};

on_each_haproxy!(each_criterion);

/// A request to the port `http`, or with an address to the port `proxied`.
struct Sent {
    address: Option<&'static str>,
    request: String,
}

/// Requests with numbers, in the header `x-number`, from 1.
fn requests() -> Vec<Sent> {
    let request = |address, line: &str, headers: &str| Sent {
        address,
        request: format!("{line} HTTP/1.1\r\n{headers}"),
    };
    vec![
        request(None, "GET /shop/item?debug=1", "Host: shop.example.net\r\n"),
        request(None, "POST /shop/item", "Host: Shop.Example.net:8080\r\nContent-Length: 0\r\n"),
        request(None, "GET /api/v2/x", "Host: api.example.net\r\nX-Beta: off\r\nX-Beta: on\r\n"),
        request(
            None,
            "GET /api/vx?Debug=1&debug%5B%5D=a%20b",
            "Host: x\r\nCookie: a=1; session=abc\r\n",
        ),
        request(
            Some("TCP4 10.1.2.3 127.0.0.1"),
            "OPTIONS /",
            "Host: x\r\nX-Customer: acme\r\nCookie: session=xyz\r\n",
        ),
        request(Some("TCP6 2001:db8::5 ::1"), "DELETE /", "Host: y\r\nX-Customer: globex\r\n"),
    ]
}

/// The number of the request that is sent over HTTP/2.
const OVER_HTTP2: usize = 7;

/// The rule of each target, and the numbers of the requests that it gets.
const TARGETS: &[(&str, &str, &[usize])] = &[
    ("everything", "", &[1, 2, 3, 4, 5, 6, 7]),
    ("methods", "match = { methods = [\"POST\", \"DELETE\"] }", &[2, 6]),
    ("safe", "match = { methods = \"safe\" }", &[1, 3, 4, 5, 7]),
    ("exact", "match = { path = \"/shop/item\" }", &[1, 2]),
    ("prefix", "match = { path = [\"/shop/*\", \"/h2/*\"] }", &[1, 2, 7]),
    ("regex", "match = { path = '^/api/v\\d' }", &[3]),
    ("host", "match = { host = \"shop.example.net\" }", &[1, 2]),
    ("domain", "match = { host = \"*.example.net\" }", &[1, 2, 3, 7]),
    ("header", "match = { headers = { X-Beta = \"on\" } }", &[3]),
    ("parameter", "match = { query = { debug = \"*\" } }", &[1, 7]),
    ("decoded", "match = { query = { \"debug[]\" = \"a b\" } }", &[4]),
    ("cookie", "match = { cookies = { session = \"a*\" } }", &[4]),
    ("network", "match = { sources = [\"10.0.0.0/8\", \"2001:db8::/32\"] }", &[5, 6]),
    ("acme", "match = { args = { customer = \"acme\" } }", &[5]),
    ("globex", "match = { args = { customer = \"globex\" } }", &[6]),
    ("both", "match = { path = \"/shop/*\", methods = [\"GET\"] }", &[1]),
    ("except", "match = { methods = \"safe\" }\nexcept = { host = \"x\" }", &[1, 3, 7]),
    // What measures noise is not written to, unless somebody says so.
    ("baseline", "compare = \"baseline\"", &[1, 3, 4, 5, 7]),
    ("baseline-at", "compare = \"baseline\"\nmatch = { path = \"/shop/*\" }", &[1]),
    (
        "baseline-told",
        "compare = \"baseline\"\nmatch = { methods = [\"POST\", \"GET\"] }",
        &[1, 2, 3, 4, 7],
    ),
];

/// Each target gets the requests that its rule names, whoever else gets them, and counts the others.
fn each_criterion(version: Version) {
    let targets = TARGETS.iter().map(|&(name, rules, _)| Target::new(name, rules)).collect();
    let mut scene = Scene::start(version, targets, |guide| guide);
    for (number, Sent { address, request }) in (1..).zip(requests()) {
        let (port, line) = match address {
            Some(address) => ("proxied", format!("PROXY {address} 1111 80\r\n")),
            None => ("http", String::new()),
        };
        let text = format!("{line}{request}X-Number: {number}\r\nConnection: close\r\n\r\n");
        scene.send(port, text.as_bytes());
    }
    let client = h2::Client::connect(scene.haproxy.address("http")).unwrap();
    let mut request =
        h2::Request::new("GET", "/h2/x?debug").header("x-number", OVER_HTTP2.to_string());
    "h2.example.net".clone_into(&mut request.authority);
    assert_eq!(client.exchange(&request).unwrap().status, 200);

    for (name, _, numbers) in TARGETS {
        let mut copies: Vec<usize> = scene
            .copies(name, numbers.len())
            .iter()
            .map(|copy| copy.header("x-number").unwrap().parse().unwrap())
            .collect();
        copies.sort_unstable();
        assert_eq!(copies, *numbers, "{name}");
    }
    let tally = scene.finish();
    for (name, _, numbers) in TARGETS {
        let (yes, no) = (numbers.len(), OVER_HTTP2 - numbers.len());
        let dropped = if no > 0 { format!(", dropped not-matched {no}") } else { String::new() };
        let expected = format!("received {OVER_HTTP2}: answered 2xx {yes}{dropped}");
        assert_eq!(tally.named(name).to_string(), expected, "{name}");
    }
}

/// One program for many customers, told apart by an argument that HAProxy sets.
#[test]
fn a_target_for_each_customer() {
    const CUSTOMERS: [&str; 12] =
        ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11"];
    let rule = |name| format!("match = {{ args = {{ customer = \"{name}\" }} }}");
    let targets = CUSTOMERS.iter().map(|name| Target::new(name, &rule(name))).collect();
    let mut scene = Scene::start(Version::V3_4, targets, |guide| guide);
    for round in 0..5 {
        for customer in CUSTOMERS.iter().chain(&["nobody"]) {
            let head =
                format!("GET /{round} HTTP/1.1\r\nHost: x\r\nX-Customer: {customer}\r\n\r\n");
            scene.send("http", head.as_bytes());
        }
    }
    for name in CUSTOMERS {
        for copy in scene.copies(name, 5) {
            assert_eq!(copy.header("x-customer").as_deref(), Some(name));
        }
    }
    let tally = scene.finish();
    for name in CUSTOMERS {
        let expected = "received 65: answered 2xx 5, dropped not-matched 60";
        assert_eq!(tally.named(name).to_string(), expected, "{name}");
    }
}

/// A request that no rule wants is counted as that, even where it could not have been copied.
#[test]
fn what_is_not_wanted_is_not_reported_as_broken() {
    let targets = vec![
        Target::new("here", "match = { path = \"/here\" }"),
        Target::new("elsewhere", "match = { path = \"/elsewhere\" }"),
    ];
    let mut scene = Scene::start(Version::V3_4, targets, |guide| guide.bufsize(8192));
    let body = "b".repeat(20_000);
    let request =
        format!("POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    scene.send("http", request.as_bytes());
    scene.mirror.wait_told("bodies do not arrive whole");
    let tally = scene.finish();
    assert_eq!(tally.named("here").to_string(), "received 1: dropped truncated-body 1");
    assert_eq!(tally.named("elsewhere").to_string(), "received 1: dropped not-matched 1");
    assert_eq!(scene.mirror.told("was not copied").len(), 1);
    assert_eq!(scene.mirror.told("bodies do not arrive whole").len(), 1);
}
