//! Whatever targets do and whichever limit strikes, the books hold every request exactly once.

use std::time::Duration;

use testbed::backend::Recorder;
use testbed::wait;

use crate::dice::Dice;
use crate::mischief;
use crate::running::mirror::Mirror;
use crate::sender::Load;

const LIMITS: [&str; 2] = [
    "in-flight = 20, queue = 30, queue-bytes = \"10KiB\", max-age = \"300ms\", drop = \"oldest\", \
     rate = \"2000/s\", burst = 500, adaptive = { min = 1 }",
    "in-flight = 5, queue = 50, max-age = \"500ms\", adaptive = true",
];

const BREAKERS: [&str; 2] =
    ["failures = 5, open = \"50ms\", probes = 3", "share = \"30%\", minimum = 5, open = \"20ms\""];

#[test]
fn the_books_are_right_whichever_limit_strikes() {
    let mut dice = Dice::new();
    let targets = [Recorder::start(), Recorder::start()];
    let mut toml = "[agent]\nworkers = 2\n\n[log]\ncopies = \"none\"\n\n".to_owned();
    for (number, target) in targets.iter().enumerate() {
        toml += &format!(
            "[[target]]\nname = \"{number}\"\nurl = \"{}\"\nlimit = {{ {} }}\nbreaker = {{ {} }}\n\
             timeout = {{ total = \"100ms\" }}\nconnections = {{ max = 5 }}\namplify = {}\n\n",
            target.url(),
            LIMITS[number],
            BREAKERS[number],
            number + 1
        );
    }
    let mut mirror = Mirror::configured(&toml);
    let load = Load::start(mirror.address, 4, 10, Duration::from_millis(5));
    // Each report that was logged is checked when it is read.
    wait::holds(wait::LIMIT, "five reports", || {
        targets[usize::from(dice.below(2) == 1)].set(mischief::any(&mut dice));
        mirror.reports().len() >= 5
    });
    let sent = load.stop();
    let tally = mirror.finish();
    println!("{tally:?}");
    let failures =
        ["reset", "closed", "timeout", "incomplete-answer", "connect-refused", "connect"];
    let drops = ["rate-limit", "breaker-open", "queue-full", "queue-bytes", "too-old", "shutdown"];
    for (number, name) in ["0", "1"].into_iter().enumerate() {
        let target = tally.named(name);
        target.assert_only(&["2xx", "unparsable"], &failures, &drops);
        assert!(target.dropped.contains_key("breaker-open"), "{target}");
        let breaker = format!("target {number} ");
        assert!(mirror.told("circuit breaker open").iter().any(|line| line.contains(&breaker)));
    }
    assert_eq!(tally.named("0").received, sent);
    // Of a request that is copied twice, the first copy may fall victim to a limit, and the other not.
    assert_eq!(tally.named("1").received, 2 * sent);
}
