//! What the doctor says of keywords, shown with real HAProxy. That every row of its table is as it says, a test
//! beside the table shows.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use testbed::client::http1;
use testbed::haproxy::{Guide, Version};
use testbed::wait;

use crate::running::on_each_haproxy;
use crate::running::stage::{answered_by_production, production};
use crate::staged::Staged;

/// Lines that HAProxy leaves out of a message without a word.
fn a_misspelt_keyword_of_a_message_leaves_it_empty_or_unsent(version: Version) {
    for (fixture, incomplete) in [("keyword-unknown/bad", 3), ("keyword-unknown/bad-event", 0)] {
        let mut bad = Staged::new(version, fixture).start();
        bad.get(3);
        let (target, seen) = bad.finish();
        assert_eq!((target.received, seen), (0, incomplete), "{fixture}");
        assert_eq!(bad.shadow.counts().complete, 0, "{fixture}");
    }
    let good = Staged::new(version, "keyword-unknown/good").start();
    good.get(3);
    good.shadow.wait_for(3, wait::LIMIT);
}

/// The agent hangs: the system accepts its connections, and nobody says anything.
fn maxerrrate_spares_clients_only_before_3_1(version: Version) {
    const WAITED: Duration = Duration::from_millis(200);
    let production = production();
    let agent = TcpListener::bind("127.0.0.1:0").unwrap();
    let guide = Guide::new(production.address()).agent(agent.local_addr().unwrap());
    let guide = guide.processing("400ms").agent_line("maxerrrate 1").nbthread(1);
    let haproxy = guide.start(version);
    let waited = (0..6).filter(|_| {
        let begin = Instant::now();
        answered_by_production(&http1::get(haproxy.address("http"), "/").unwrap());
        begin.elapsed() > WAITED
    });
    match (version, waited.count()) {
        (Version::V2_6 | Version::V3_0, waited) => assert!(waited < 6, "{waited}"),
        (Version::V3_2 | Version::V3_4, waited) => assert_eq!(waited, 6),
    }
}

on_each_haproxy!(
    a_misspelt_keyword_of_a_message_leaves_it_empty_or_unsent,
    maxerrrate_spares_clients_only_before_3_1,
);
