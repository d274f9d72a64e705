//! What becomes of bodies that HAProxy cut off, and of those that are larger than a target shall get.

use testbed::backend::Request;
use testbed::client::h2;
use testbed::haproxy::Version;

use crate::running::on_each_haproxy;
use crate::scene::{Scene, Target};

on_each_haproxy!(each_target_has_its_way_with_a_cut_body);

/// More than HAProxy's buffer holds by default.
const LENGTH: usize = 20_000;

fn with_length(method: &str, path: &str, length: usize) -> Vec<u8> {
    let body = "b".repeat(length);
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn chunked(path: &str, length: usize) -> Vec<u8> {
    let body = "b".repeat(length);
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    format!("{head}{length:x}\r\n{body}\r\n0\r\n\r\n").into_bytes()
}

/// Neither a length that is not kept, nor a body that nobody announced.
fn announces(request: &Request, length: usize) -> bool {
    request.header_values("content-length") == [length.to_string().as_bytes()]
        && request.header("transfer-encoding").is_none()
        && request.complete
}

fn each_target_has_its_way_with_a_cut_body(version: Version) {
    let targets = vec![
        Target::new("skip", "truncated-body = \"skip\""),
        Target::new("send", "truncated-body = \"send\""),
        Target::new("headers-only", "truncated-body = \"headers-only\""),
        // The ceiling comes first, whatever came of the body.
        Target::new("small", "truncated-body = \"send\"\nmax-body = \"1KiB\""),
    ];
    let mut scene = Scene::start(version, targets, |guide| guide);
    scene.send("http", &with_length("POST", "/length", LENGTH));
    scene.send("http", &with_length("DELETE", "/length", LENGTH));
    scene.send("http", &chunked("/chunked", LENGTH));
    let client = h2::Client::connect(scene.haproxy.address("http")).unwrap();
    let request = h2::Request::new("PUT", "/h2").body(vec![b'b'; LENGTH]);
    assert_eq!(client.exchange(&request).unwrap().status, 200);
    // Whole ones.
    scene.send("http", &with_length("POST", "/whole", 1024));
    scene.send("http", &with_length("POST", "/whole", 1025));
    let none = b"GET /whole HTTP/1.1\r\nHost: x\r\n\r\n";
    scene.send("http", none);

    let (whole, cut): (Vec<_>, Vec<_>) =
        scene.copies("headers-only", 7).into_iter().partition(|r| r.target() == b"/whole");
    assert_eq!(whole.iter().map(|copy| copy.body.len()).sum::<usize>(), 1024 + 1025);
    assert!(whole.iter().all(|copy| copy.header("x-shadow").as_deref() == Some("1")));
    let mut methods: Vec<_> = cut.iter().map(|copy| copy.method().to_vec()).collect();
    methods.sort();
    assert_eq!(methods, [&b"DELETE"[..], b"POST", b"POST", b"PUT"]);
    for copy in &cut {
        assert_eq!(copy.header("x-shadow").as_deref(), Some("1; body=truncated"));
        assert!(copy.body.is_empty() && announces(copy, 0), "{copy:?}");
    }
    let (_, cut): (Vec<_>, Vec<_>) =
        scene.copies("send", 7).into_iter().partition(|r| r.target() == b"/whole");
    for copy in &cut {
        assert_eq!(copy.header("x-shadow").as_deref(), Some("1; body=truncated"));
        assert!((10_000..LENGTH).contains(&copy.body.len()), "{copy:?}");
        assert!(announces(copy, copy.body.len()), "{copy:?}");
    }
    let tally = scene.finish();
    assert_eq!(
        tally.named("skip").to_string(),
        "received 7: answered 2xx 3, dropped truncated-body 4"
    );
    assert_eq!(tally.named("send").to_string(), "received 7: answered 2xx 7");
    assert_eq!(tally.named("headers-only").to_string(), "received 7: answered 2xx 7");
    assert_eq!(
        tally.named("small").to_string(),
        "received 7: answered 2xx 2, dropped body-too-large 5"
    );
    assert_eq!(scene.production.counts().complete, 7);
}
