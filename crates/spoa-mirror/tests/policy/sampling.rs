//! Which share of the requests each target gets.

use std::collections::BTreeSet;

use tempfile::TempDir;
use testbed::agent::Agent;
use testbed::client::http1::Client;
use testbed::haproxy::Version;
use testbed::{ports, wait};

use crate::running::mirror::{Mirror, PROGRAM};
use crate::running::stage::{answered_by_production, production};
use crate::scene::{Scene, Target, guide, toml};

/// Keys of the samples.
const KEYS: usize = 200;

fn keys(requests: &[testbed::backend::Request]) -> BTreeSet<String> {
    requests.iter().map(|request| request.header("x-user").unwrap()).collect()
}

/// Two agents behind one HAProxy, one of them started anew in between: a user's requests are all copied,
/// or none of them, whichever agent gets them; and those of a smaller sample are in a larger one.
#[test]
fn a_key_gets_the_same_answer_everywhere_and_always() {
    let rules = |percent: u32| {
        format!("sample = {{ percent = {percent}, by = \"header:x-user\", seed = \"test\" }}")
    };
    let targets = vec![
        Target::new("tenth", &rules(10)),
        Target::new("third", &rules(33)),
        Target::new("all", ""),
    ];
    let configuration = toml(&targets);
    let first = Mirror::configured(&configuration);
    let address = ports::free_addr();
    let start_second = || {
        let builder = Agent::builder(PROGRAM);
        Mirror::configured_at(address, builder, TempDir::new().unwrap(), &configuration)
    };
    let mut second = start_second();
    let production = production();
    let guide = guide(production.address()).agent(first.address).agent(address);
    // Each request on a connection to the agents of its own choice.
    let haproxy = guide.nbthread(1).server_options("pool-max-conn 0").start(Version::V3_4);

    let mut mirrors = vec![first];
    for round in 1..=4 {
        let mut client = Client::connect(haproxy.address("http")).unwrap();
        for key in 0..KEYS {
            let request = format!("GET /{round} HTTP/1.1\r\nHost: x\r\nX-User: user-{key}\r\n\r\n");
            answered_by_production(&client.exchange(request.as_bytes()).unwrap());
        }
        targets[2].recorder.wait_count(round * KEYS as u64, wait::LIMIT);
        if round == 2 {
            // Both had their share, so that an agent that answers otherwise would show.
            let received = second.finish().targets[2].received;
            assert!(received > 20, "{received}");
            second = start_second();
        }
    }
    mirrors.push(second);
    for mirror in &mut mirrors {
        let tally = mirror.finish();
        assert!(tally.targets[2].received > 20, "{tally:?}");
        for target in &tally.targets {
            assert_eq!(target.received, target.answers() + target.drops());
        }
    }
    let [tenth, third, all] = [0, 1, 2].map(|index: usize| targets[index].recorder.requests());
    for requests in [&tenth, &third, &all] {
        assert_eq!(requests.len(), 4 * keys(requests).len(), "all four rounds or none");
    }
    let [tenth, third, all] = [tenth, third, all].map(|requests| keys(&requests));
    assert_eq!(all.len(), KEYS);
    assert!(tenth.is_subset(&third) && tenth.len() < third.len());
    // What the hash says of these keys for ever.
    assert_eq!((tenth.len(), third.len()), EXPECTED);
}

/// How many of the users `user-0` to `user-199` are in a tenth and in a third, with the seed `test`.
const EXPECTED: (usize, usize) = (13, 70);

/// Where chance decides, targets that want the same share get the same requests, and those with a larger
/// share get them too.
#[test]
fn samples_by_chance_nest() {
    let targets = vec![
        Target::new("fifth", "sample = { percent = 20 }"),
        Target::new("again", "sample = { percent = 20 }"),
        Target::new("half", "sample = { percent = 50 }"),
        Target::new("none", "sample = { percent = 0 }"),
    ];
    let mut scene = Scene::start(Version::V3_4, targets, |guide| guide);
    let mut client = Client::connect(scene.haproxy.address("http")).unwrap();
    for number in 0..500 {
        let request = format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n");
        answered_by_production(&client.exchange(request.as_bytes()).unwrap());
    }
    let tally = scene.finish();
    let paths = |name: &str| -> BTreeSet<_> {
        let requests = scene.target(name).requests();
        requests.iter().map(|request| request.target().to_vec()).collect()
    };
    let [fifth, again, half] = ["fifth", "again", "half"].map(paths);
    assert_eq!(fifth, again);
    assert!(fifth.is_subset(&half));
    // More than six standard deviations.
    assert!((40..160).contains(&fifth.len()), "{}", fifth.len());
    assert!((180..320).contains(&half.len()), "{}", half.len());
    assert_eq!(tally.named("none").to_string(), "received 500: dropped not-sampled 500");
}

#[test]
fn requests_without_the_key() {
    let by = |more: &str| format!("sample = {{ percent = 100, by = \"cookie:s\"{more} }}");
    let none = |more: &str| format!("sample = {{ percent = 0, by = \"cookie:s\"{more} }}");
    let targets = vec![
        Target::new("skipped", &by(", without-key = \"skip\"")),
        Target::new("copied", &none(", without-key = \"copy\"")),
        Target::new("chance", &none("")),
    ];
    let mut scene = Scene::start(Version::V3_4, targets, |guide| guide);
    scene.send("http", b"GET /with HTTP/1.1\r\nHost: x\r\nCookie: s=1\r\n\r\n");
    scene.send("http", b"GET /without HTTP/1.1\r\nHost: x\r\nCookie: t=1\r\n\r\n");
    let tally = scene.finish();
    let half = "received 2: answered 2xx 1, dropped not-sampled 1";
    assert_eq!(tally.named("skipped").to_string(), half);
    assert_eq!(scene.target("skipped").requests()[0].target(), b"/with");
    assert_eq!(tally.named("copied").to_string(), half);
    assert_eq!(scene.target("copied").requests()[0].target(), b"/without");
    assert_eq!(tally.named("chance").to_string(), "received 2: dropped not-sampled 2");
}
