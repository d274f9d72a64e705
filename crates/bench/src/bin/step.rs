//! Does one step of the data path so many times, for `scripts/instructions.sh`: `step NAME COUNT`.
//! Without arguments, names the steps that are ours. `step compare` measures how many times as long another's step
//! takes as ours, one directly after the other.

use std::process::ExitCode;
use std::time::Instant;

use bench::micro::{COMPARED, Step, steps};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            for step in steps().iter().filter(|step| is_ours(step)) {
                println!("{}", step.name);
            }
        }
        ["compare"] => COMPARED.iter().for_each(|(ours, theirs)| compare(ours, theirs)),
        [name, count] => match (named(name), count.parse()) {
            (Some(mut step), Ok(count)) => repeat(&mut step, count),
            _ => return usage(),
        },
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: step [compare | NAME COUNT]");
    ExitCode::from(64)
}

fn is_ours(step: &Step) -> bool {
    COMPARED.iter().all(|(_, theirs)| step.name != *theirs)
}

fn named(name: &str) -> Option<Step> {
    steps().into_iter().find(|step| step.name == name)
}

fn repeat(step: &mut Step, count: u32) {
    for _ in 0..count {
        step.run();
    }
}

/// Takes turns, and short ones, so that what else the machine does meets both and spoils few of them; the
/// median is of pairs of turns.
fn compare(ours: &str, theirs: &str) {
    const TURNS: usize = 4001;
    const COUNT: u32 = 500;
    let (Some(mut our_step), Some(mut their_step)) = (named(ours), named(theirs)) else { return };
    let time = |step: &mut Step| -> f64 {
        let start = Instant::now();
        repeat(step, COUNT);
        start.elapsed().as_secs_f64() * 1e9 / f64::from(COUNT)
    };
    let mut turns: Vec<_> = (0..TURNS)
        .map(|_| {
            let (ours, theirs) = (time(&mut our_step), time(&mut their_step));
            (theirs / ours, ours, theirs)
        })
        .collect();
    turns.sort_by(|one, other| one.0.total_cmp(&other.0));
    if let (Some((low, ..)), Some((ratio, our_time, their_time)), Some((high, ..))) =
        (turns.get(TURNS / 10), turns.get(TURNS / 2), turns.get(TURNS - 1 - TURNS / 10))
    {
        println!(
            "{ours} {our_time:.1} ns, {theirs} {their_time:.1} ns: {ratio:.1} times as long \
             ({low:.1} to {high:.1} in four turns of five)",
        );
    }
}
