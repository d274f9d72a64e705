//! Several copies of one request.

use std::collections::BTreeSet;

use testbed::haproxy::Version;

use crate::running::mirror::Mirror;
use crate::running::stage::production;
use crate::scene::{Scene, Target, guide};

#[test]
fn each_copy_is_numbered_and_accounted_for() {
    let targets = vec![
        Target::new("three", "amplify = 3"),
        Target::new("one", ""),
        Target::new("no", "amplify = 5\nmatch = { path = \"/no\" }"),
    ];
    let mut scene = Scene::start(Version::V3_4, targets, |guide| guide);
    for number in 0..10 {
        let head = format!("POST /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
        scene.send("http", head.as_bytes());
    }
    let copies = scene.copies("three", 30);
    let seen: BTreeSet<_> = copies
        .iter()
        .map(|copy| {
            assert_eq!(copy.body, b"body");
            (copy.target().to_vec(), copy.header("x-shadow").unwrap())
        })
        .collect();
    let expected: BTreeSet<_> = (0..10)
        .flat_map(|number| {
            let path = format!("/{number}").into_bytes();
            (1..=3).map(move |copy| (path.clone(), format!("1; copy={copy}/3")))
        })
        .collect();
    assert_eq!(seen, expected);
    assert!(scene.copies("one", 10).iter().all(|c| c.header("x-shadow").as_deref() == Some("1")));
    let tally = scene.finish();
    assert_eq!(tally.named("three").to_string(), "received 30: answered 2xx 30");
    assert_eq!(tally.named("one").to_string(), "received 10: answered 2xx 10");
    // What is not copied is not multiplied either.
    assert_eq!(tally.named("no").to_string(), "received 10: dropped not-matched 10");
}

/// Copies that come back through HAProxy end there, as many as they are.
#[test]
fn copies_that_come_back_are_not_copied_again() {
    let production = production();
    let address = testbed::ports::free_addr();
    let haproxy = guide(production.address()).agent(address).start(Version::V3_4);
    let configuration = format!(
        "[[target]]\nname = \"loop\"\nurl = \"http://{}\"\namplify = 4\n",
        haproxy.address("http")
    );
    let mut mirror = Mirror::configured_at(
        address,
        testbed::agent::Agent::builder(crate::running::mirror::PROGRAM),
        tempfile::TempDir::new().unwrap(),
        &configuration,
    );
    let response = testbed::client::http1::get(haproxy.address("http"), "/").unwrap();
    assert_eq!(response.status, 200);
    production.wait_count(5, testbed::wait::LIMIT);
    let tally = mirror.finish();
    assert_eq!(tally.named("loop").to_string(), "received 8: answered 2xx 4, dropped loop 4");
    assert_eq!(production.counts().complete, 5);
}
