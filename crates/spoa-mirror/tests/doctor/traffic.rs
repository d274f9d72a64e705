//! What the doctor says of traffic, shown with real HAProxy.

use testbed::backend::Behaviour;
use testbed::client::h2;
use testbed::haproxy::Version;
use testbed::wait;

use super::running::on_each_haproxy;
use super::staged::Staged;

/// A rule's header is not there at the frontend's event and is there at the backend's, and in a group that is sent
/// behind it; that of `option forwardfor` comes after all of them.
fn rules_come_after_the_frontends_event(version: Version) {
    for (kind, tenant) in
        [("bad", None), ("good", Some("blue")), ("bad-rule", None), ("good-rule", Some("blue"))]
    {
        let fixture = format!("headers-added-later/{kind}");
        let scene = Staged::new(version, &fixture)
            .change("    default_backend", "    option forwardfor\n    default_backend")
            .start();
        scene.get(1);
        let copy = scene.copy();
        assert_eq!(copy.header("x-tenant").as_deref(), tenant, "{kind}");
        assert_eq!(copy.header("x-forwarded-for"), None, "{kind}");
        let received = &scene.production.wait_for(1, wait::LIMIT)[0];
        assert_eq!(received.header("x-tenant").as_deref(), Some("blue"));
        assert_eq!(received.header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    }
}

/// The agent adds what `option forwardfor` adds too late.
fn the_agent_adds_the_clients_address(version: Version) {
    let scene = Staged::new(version, "headers-added-later/good-forwardfor")
        .toml("headers.add = { x-forwarded-for = \"{source}\" }\n")
        .start();
    scene.get(1);
    assert_eq!(scene.copy().header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
}

fn a_denied_request_is_copied_before_the_rules(version: Version) {
    let (all, some) = (["/admin", "/"].as_slice(), ["/"].as_slice());
    for (kind, copies) in [("bad", all), ("good", some), ("bad-rule", all), ("good-rule", some)] {
        let scene = Staged::new(version, &format!("denied-copied/{kind}")).start();
        for (path, status) in [("/admin", 403), ("/", 200)] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(scene.send(request.as_bytes()), status);
        }
        let received = scene.shadow.wait_for(copies.len(), wait::LIMIT);
        let mut paths: Vec<_> =
            received.iter().map(|copy| copy.target().escape_ascii().to_string()).collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        assert_eq!(paths, copies, "{kind}");
        assert_eq!(scene.production.wait_for(1, wait::LIMIT).len(), 1);
    }
}

/// `/api/1` comes over HTTP/1 and `/api/2` over HTTP/2; then comes one that every condition lets pass.
fn an_absolute_url_does_not_begin_with_a_path(version: Version) {
    for (kind, copies) in [("bad", ["/api/1"].as_slice()), ("good", &["/api/1", "/api/2"])] {
        let mut scene = Staged::new(version, &format!("url-absolute/{kind}")).start();
        assert_eq!(scene.send(b"GET /api/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
        let client = h2::Client::connect(scene.haproxy.address("http")).unwrap();
        assert_eq!(client.exchange(&h2::Request::new("GET", "/api/2")).unwrap().status, 200);
        let (target, _) = scene.finish();
        assert_eq!(target.answers(), copies.len() as u64, "{kind}: {target}");
        let mut paths: Vec<_> = scene
            .shadow
            .requests()
            .iter()
            .map(|copy| copy.target().escape_ascii().to_string())
            .collect();
        paths.sort();
        assert_eq!(paths, copies, "{kind}");
    }
}

fn a_share_of_a_share(version: Version) {
    for (kind, toml, expected) in
        [("bad-chance", "sample = { percent = 50 }\n", 50..150), ("good-haproxy", "", 140..260)]
    {
        let mut scene = Staged::new(version, &format!("sampled-twice/{kind}"))
            .change("rand(100) lt 10", "rand(100) lt 50")
            .toml(toml)
            .start();
        scene.get(400);
        let (target, _) = scene.finish();
        assert!(expected.contains(&target.answers()), "{kind}: {target}");
    }
}

fn chance_that_never_holds(version: Version) {
    let mut scene = Staged::new(version, "sample-nothing/bad").start();
    scene.get(50);
    let (target, incomplete) = scene.finish();
    assert_eq!((target.received, incomplete), (0, 0), "{target}");
    let always = "rand(100) ge 0";
    let staged = Staged::new(version, "sample-nothing/bad").change("rand(100) gt 99", always);
    let mut scene = staged.start();
    scene.get(50);
    assert_eq!(scene.finish().0.answers(), 50);
}

/// Production speaks another protocol with the client, and the target hears nothing of it.
fn an_upgrade_has_no_copy(version: Version) {
    for (kind, dropped) in [("bad", 1), ("good", 0)] {
        let mut scene = Staged::new(version, &format!("upgrade-mirrored/{kind}")).start();
        let head = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: \
                    s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        let switching = format!("HTTP/1.1 101 Switching Protocols\r\n{head}");
        scene.production.set(Behaviour::raw(switching));
        let request = "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut client =
            testbed::client::http1::Client::connect(scene.haproxy.address("http")).unwrap();
        client.send(request.as_bytes()).unwrap();
        assert_eq!(client.response(true).unwrap().status, 101);
        let (target, _) = scene.finish();
        assert_eq!(
            target.dropped.get("upgrade").copied().unwrap_or(0),
            dropped,
            "{kind}: {target}"
        );
        assert_eq!(target.received, dropped, "{kind}: {target}");
    }
}

/// Production gets every request twice; the marker ends the circle there.
fn a_target_that_is_haproxy_itself(version: Version) {
    let mut scene = Staged::new(version, "mirror-loop/bad").mirroring_to_haproxy().start();
    scene.get(10);
    scene.production.wait_count(20, wait::LIMIT);
    let (target, _) = scene.finish();
    assert_eq!(target.to_string(), "received 20: answered 2xx 10, dropped loop 10");
    assert_eq!(scene.production.counts().requests, 20);
    let marked = scene.production.requests();
    let marked = marked.iter().filter(|request| request.header("x-shadow").is_some());
    assert_eq!(marked.count(), 10);
}

on_each_haproxy!(
    rules_come_after_the_frontends_event,
    the_agent_adds_the_clients_address,
    a_denied_request_is_copied_before_the_rules,
    an_absolute_url_does_not_begin_with_a_path,
    a_share_of_a_share,
    chance_that_never_holds,
    an_upgrade_has_no_copy,
    a_target_that_is_haproxy_itself,
);
