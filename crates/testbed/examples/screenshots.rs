//! Takes the pictures of the README of the dashboard that `spoa-mirror demo` shows: `scripts/screenshots.sh`.
#![allow(clippy::unwrap_used, reason = "a broken assumption must stop it where it breaks")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testbed::agent::Agent;
use testbed::browser::Browser;
use testbed::client::http1;
use testbed::wait;

/// The demonstration says that it has a verdict within a minute.
const DEMO: Duration = Duration::from_secs(180);

/// A picture may not be larger, in bytes.
const LARGEST: u64 = 200_000;

fn main() {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [program, directory, haproxy] = &arguments[..] else {
        panic!("screenshots PROGRAM DIRECTORY HAPROXY");
    };
    let mut demo = Agent::builder(program).args(["demo", "--haproxy"]).arg(haproxy).start();
    let line = demo.wait_line(DEMO, |line| line.trim_start().starts_with("dashboard "));
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let url = url.trim_end_matches('/').to_owned();
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let browser = Browser::start();
    browser.prefer_colours("light");
    browser.go(&url);
    // The page keeps itself current: asking the agent as often as we look would be more than it allows.
    wait::holds(DEMO, "the demonstration's verdict", || browser.count(".reasons li") > 0);
    let answer = http1::get(address, "/api/v1/verdict").unwrap();
    let verdict: Value = serde_json::from_slice(&answer.body).unwrap();
    let reasons = verdict["targets"].as_array().unwrap().iter();
    let mut reasons = reasons.flat_map(|target| target["reasons"].as_array().unwrap());
    let price = reasons.find(|reason| reason["kind"] == "difference").expect("a difference");

    take(&browser, directory, "overview", 900);
    browser.go(&format!("{url}/endpoints"));
    take(&browser, directory, "endpoints", 700);
    browser.go(&url);
    let place = price["place"].as_str().unwrap();
    let follow = "[...document.querySelectorAll('.reasons a')]
        .find(link => link.textContent.includes(arguments[0])).click()";
    browser.run(follow, &[place.into()]);
    browser.wait_text("h1", |text| text.contains(place));
    take(&browser, directory, "difference", 900);
    // It ends what it has started.
    demo.stop(wait::LIMIT);
}

/// Takes the upper part of the page.
fn take(browser: &Browser, directory: &Path, name: &str, height: u32) {
    browser.window(1200, height);
    let path = directory.join(format!("{name}.png"));
    browser.screenshot(&path);
    let size = std::fs::metadata(&path).unwrap().len();
    println!("{}: {size} bytes", path.display());
    assert!(size < LARGEST, "{} is larger than {LARGEST} bytes", path.display());
}
