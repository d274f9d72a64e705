//! The overview: what is changed there changes the agent, and what changes in the agent is seen there.

use serde_json::json;
use testbed::browser::{Browser, key};
use testbed::wait;

use super::api::Agent;

fn open(agent: &Agent) -> Browser {
    let browser = Browser::start();
    browser.go(&format!("http://{}/", agent.admin));
    browser
}

/// Only what the agent serves was asked for, and nothing was complained about.
#[track_caller]
pub(crate) fn assert_at_peace(browser: &Browser, agent: std::net::SocketAddr) {
    assert_eq!(browser.console(), [""; 0]);
    let home = format!("http://{agent}/");
    let elsewhere: Vec<_> =
        browser.requests().into_iter().filter(|url| !url.starts_with(&home)).collect();
    assert_eq!(elsewhere, [""; 0]);
}

#[test]
fn a_target_is_paused_and_resumed_by_keyboard_alone() {
    let agent = Agent::start();
    let browser = open(&agent);
    browser.tab_to("button[data-action=pause]");
    browser.keys([key::ENTER]);
    browser.wait_text("td[data-label=State]", |text| text.contains("paused"));
    assert_eq!(agent.standing()["settings"]["paused"], true);
    // A screen reader says what was done, and the focus is where it was.
    browser.wait_text("[role=alert]", |text| text.contains("paused until"));
    let focus = "const e = document.activeElement; return [e.tagName, e.textContent]";
    let here = json!(["BUTTON", format!("Resume {}", agent.target())]);
    wait::holds(wait::LIMIT, "the focus on `Resume`", || browser.run(focus, &[]) == here);
    browser.keys([' ']);
    browser.wait_text("td[data-label=State]", |text| !text.contains("paused"));
    assert_eq!(agent.standing()["settings"]["paused"], false);
    browser.wait_text("ul.changes", |text| text.contains("true → false"));
    assert_at_peace(&browser, agent.admin);
}

#[test]
fn the_content_is_one_key_away() {
    let agent = Agent::start();
    let browser = open(&agent);
    browser.keys([key::TAB, key::ENTER]);
    let focus = "return document.activeElement.id";
    wait::holds(wait::LIMIT, "the focus on the content", || browser.run(focus, &[]) == "main");
}

#[test]
fn a_targets_sample_is_changed() {
    let agent = Agent::start();
    let browser = open(&agent);
    browser.fill("form[data-action=sample] input", "12.5");
    browser.click("form[data-action=sample] button");
    browser.wait_text("[role=alert]", |text| text.contains("gets 12.5 % of requests"));
    assert_eq!(agent.standing()["settings"]["sample_percent"], 12.5);
    // What cannot be is not asked for.
    browser.fill("form[data-action=sample] input", "101");
    browser.click("form[data-action=sample] button");
    assert_eq!(browser.count("form[data-action=sample] input:invalid"), 1);
    browser.reload();
    let value = browser.attribute("form[data-action=sample] input", "value");
    assert_eq!(value.as_deref(), Some("12.5"));
    assert_at_peace(&browser, agent.admin);
}

#[test]
fn the_page_changes_by_itself_when_traffic_comes() {
    let agent = Agent::start();
    let browser = open(&agent);
    browser.wait_text("#live", |text| text.starts_with("live"));
    // It would be gone if the page was loaded again.
    browser.run("window.before = 'still here'", &[]);
    agent.mirror(3);
    browser.wait_text("td[data-label=Answered]", |text| text == "3");
    assert_eq!(browser.run("return window.before", &[]), "still here");
    // Held, it stays as it is; let go, it shows what has changed.
    browser.click("#hold");
    browser.wait_text("#live", |text| text.starts_with("updates paused"));
    agent.mirror(2);
    agent.wait_counters(|counters| counters["answered"]["2xx"] == 5);
    assert_eq!(browser.text("td[data-label=Answered]"), "3");
    browser.click("#hold");
    browser.wait_text("td[data-label=Answered]", |text| text == "5");
    assert_at_peace(&browser, agent.admin);
}

#[test]
fn a_page_whose_agent_is_gone_says_that_it_is_old() {
    let mut agent = Agent::start();
    let browser = open(&agent);
    browser.wait_text("#live", |text| text.starts_with("live"));
    agent.mirror.process.kill();
    browser.wait_text("#live", |text| text.starts_with("stale"));
    assert!(browser.text("main").contains(&agent.target()));
}
