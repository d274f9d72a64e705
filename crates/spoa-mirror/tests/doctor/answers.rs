//! What the doctor says of pairs of requests and answers, shown with real HAProxy.

use std::time::Duration;

use testbed::backend::{Behaviour, Response, Step};
use testbed::counters::Labels;
use testbed::haproxy::Version;
use testbed::wait;

use super::running::on_each_haproxy;
use super::staged::{Scene, Staged};

/// Sends ten requests, which are all copied, and gives what became of their comparison.
fn compare(scene: &mut Scene, counted: u64) -> Labels {
    scene.production.set(answer());
    scene.shadow.set(answer());
    scene.get(10);
    scene.shadow.wait_for(10, wait::LIMIT);
    let labels = scene.compared(counted);
    let (target, _) = scene.finish();
    assert_eq!(target.answers(), 10, "{target}");
    // Nothing came afterwards.
    assert_eq!(of(&scene.compared(counted), "copies"), counted);
    labels
}

fn answer() -> Behaviour {
    Behaviour::respond(Response::ok("the same").header("content-type", "text/plain"))
}

fn of(labels: &Labels, label: &str) -> u64 {
    labels.get(label).copied().unwrap_or(0)
}

/// Two agents in turn: each request is the one's, and its answer the other's.
fn two_agents_in_turn_pair_nothing(version: Version) {
    let mut scene = Staged::new(version, "answers-split/bad").comparing().start();
    let labels = compare(&mut scene, 10);
    assert_eq!((of(&labels, "same"), of(&labels, "without-production")), (0, 10), "{labels:?}");
    for kind in ["good", "good-no-variable"] {
        let mut scene = Staged::new(version, &format!("answers-split/{kind}")).comparing().start();
        let labels = compare(&mut scene, 10);
        assert_eq!(of(&labels, "same"), 10, "{kind}: {labels:?}");
    }
}

#[test]
fn two_agents_in_turn_pair_nothing_with_haproxy_3_2() {
    two_agents_in_turn_pair_nothing(Version::V3_2);
}

#[test]
fn two_agents_in_turn_pair_nothing_with_haproxy_3_4() {
    two_agents_in_turn_pair_nothing(Version::V3_4);
}

/// A request without an id is not counted; one whose answer has another finds no answer.
fn without_an_id_nothing_is_compared(version: Version) {
    for (kind, counted) in [("bad", 10), ("bad-format", 0), ("bad-made-anew", 10)] {
        let mut scene = Staged::new(version, &format!("id-missing/{kind}")).comparing().start();
        let labels = compare(&mut scene, counted);
        let without = (of(&labels, "same"), of(&labels, "without-production"));
        assert_eq!(without, (0, counted), "{kind}: {labels:?}");
    }
    let mut scene = Staged::new(version, "id-missing/good").comparing().start();
    let labels = compare(&mut scene, 10);
    assert_eq!(of(&labels, "same"), 10, "{labels:?}");
}

fn without_answers_nothing_is_compared(version: Version) {
    let mut scene = Staged::new(version, "compare-without-answers/bad").comparing().start();
    let labels = compare(&mut scene, 0);
    assert_eq!(of(&labels, "same"), 0, "{labels:?}");
    let mut scene = Staged::new(version, "compare-without-answers/good").comparing().start();
    let labels = compare(&mut scene, 10);
    assert_eq!(of(&labels, "same"), 10, "{labels:?}");
}

/// Half of the requests and half of the answers: a quarter has both.
fn two_draws_leave_few_pairs(version: Version) {
    for (kind, pairs) in [("bad", 50..150), ("bad-acl", 50..150), ("good", 140..260)] {
        let half = |staged: Staged| staged.change("rand(100) lt 10", "rand(100) lt 50");
        let fixture = format!("pairs-sampled-apart/{kind}");
        let scene = half(Staged::new(version, &fixture)).comparing().start();
        scene.production.set(answer());
        scene.shadow.set(answer());
        scene.get(400);
        let labels = wait::until(wait::LIMIT, "the last copy to be over", || {
            let report = scene.mirrors[0].reports().pop()?;
            let over = of(&report.comparison, "copies") == report.target().answers();
            (over && of(&report.comparison, "waiting") == 0 && report.target().open() == 0)
                .then_some(report.comparison)
        });
        let same = of(&labels, "same");
        assert!(pairs.contains(&same), "{kind}: {same} pairs: {labels:?}");
        // Six standard deviations around a half.
        assert!((140..260).contains(&of(&labels, "copies")), "{kind}: {labels:?}");
    }
}

/// Production's body comes after its head.
fn a_body_that_comes_later_is_waited_for_or_lost(version: Version) {
    for (kind, same) in [("bad", 0), ("bad-event", 0), ("good", 5)] {
        let scene = Staged::new(version, &format!("response-body-race/{kind}")).comparing().start();
        let answer = Behaviour::steps(|_| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\n";
            vec![
                Step::Send(head.to_vec()),
                Step::Wait(Duration::from_millis(200)),
                Step::Send(b"the same".to_vec()),
            ]
        });
        scene.production.set(answer.clone());
        scene.shadow.set(answer);
        scene.get(5);
        let labels = scene.compared(5);
        assert_eq!(of(&labels, "same"), same, "{kind}: {labels:?}");
    }
}

on_each_haproxy!(
    without_an_id_nothing_is_compared,
    without_answers_nothing_is_compared,
    two_draws_leave_few_pairs,
    a_body_that_comes_later_is_waited_for_or_lost,
);
