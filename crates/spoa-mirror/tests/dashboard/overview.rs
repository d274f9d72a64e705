//! The overview, as it reads without JavaScript.

use testbed::backend::Recorder;
use testbed::wait;

use super::api::Agent;
use super::html::Page;
use super::running::mirror::Mirror;

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml;q=0.9");

fn overview(agent: &Agent) -> Page {
    let answer = agent.ask_with("GET /", &[HTML], "");
    assert_eq!(answer.status(), 200);
    Page::of(&answer.0)
}

/// The cells of the row that begins with `name`.
fn row(page: &Page, name: &str) -> Vec<String> {
    let rows = page.all("tr").map(|row| row.text.split_whitespace().collect::<Vec<_>>().join(" "));
    rows.filter(|text| text.starts_with(name)).collect()
}

#[test]
fn it_tells_what_became_of_requests() {
    let agent = Agent::start();
    assert!(overview(&agent).text().contains("No request has come yet."));
    agent.mirror(3);
    agent.wait_counters(|counters| counters["answered"]["2xx"] == 3);
    let page = overview(&agent);
    let [target] = &row(&page, &agent.target())[..] else { panic!("{}", page.text()) };
    assert!(target.contains(&agent.shadow.url()) && target.contains("active"), "{target}");
    assert_eq!(row(&page, "answered"), ["answered 2xx 3"]);
    let tile = page.all("li").find(|it| it.text.starts_with("Requests from HAProxy")).unwrap();
    assert!(tile.text.contains(" 3 "), "{}", tile.text);
}

#[test]
fn a_reason_for_a_drop_is_explained_where_it_is_counted() {
    let agent = Agent::with(Recorder::start(), &[]);
    assert_eq!(agent.ask("POST /api/v1/pause").status(), 200);
    agent.mirror(2);
    agent.wait_counters(|counters| counters["dropped"]["paused"] == 2);
    let page = overview(&agent);
    assert_eq!(row(&page, "left out"), ["left out paused the target is paused 2"]);
    let [target] = &row(&page, &agent.target())[..] else { panic!("{}", page.text()) };
    assert!(target.contains("paused by hand: paused") && target.contains("Resume"), "{target}");
    // Who did it, as well.
    let change = page.all("li").find(|it| it.text.contains("false → true")).unwrap();
    assert!(change.text.contains("127.0.0.1"), "{}", change.text);
}

#[test]
fn without_comparison_it_says_how_to_switch_it_on() {
    let agent = Agent::start();
    let page = overview(&agent);
    let text = page.text();
    assert!(text.contains("no target has compare = true") && text.contains("docs/COMPARISON.md"));
}

#[test]
fn what_needs_somebody_is_told_first() {
    let admin = testbed::ports::free_addr();
    let toml = format!(
        "[admin]\nlisten = \"{admin}\"\n\n[[target]]\nname = \"staging\"\n\
         url = \"http://127.0.0.1:9/\"\n"
    );
    let mut mirror = Mirror::configured(&toml);
    mirror.reconfigure(&format!("{toml}nonsense = 1\n"));
    let ask = |line: &str| {
        let asked = super::api::request(line, &[HTML], "");
        testbed::client::http1::exchange(admin, asked.as_bytes()).unwrap()
    };
    let refused = ask("POST /api/v1/reload");
    assert_eq!(refused.status, 422);
    Page::of(&refused);
    let page = Page::of(&ask("GET /"));
    let notice = page.all("p").find(|it| it.get("class") == Some("notice")).unwrap();
    assert!(notice.text.contains("changed nothing"), "{}", notice.text);
}

#[test]
fn buttons_are_for_those_who_have_javascript() {
    let agent = Agent::start();
    let page = overview(&agent);
    let buttons: Vec<_> = page.all("button").chain(page.all("form")).collect();
    assert!(buttons.len() >= 3, "{buttons:?}");
    assert!(buttons.iter().all(|it| page.needs_script(it)), "{buttons:?}");
}

#[test]
fn a_page_shows_an_agent_that_takes_its_leave() {
    let (shadow, gate) = super::running::gate::recorder();
    let mut agent = Agent::with(shadow, &["--grace", "1m"]);
    agent.mirror(1);
    agent.wait_counters(|counters| counters["in_flight"] == 1);
    agent.mirror.process.signal(testbed::agent::Signal::SIGTERM);
    wait::holds(wait::LIMIT, "the page says so", || {
        overview(&agent).text().contains("The agent takes its leave")
    });
    gate.open();
    assert!(agent.mirror.process.wait_exit(wait::LIMIT).success());
}
