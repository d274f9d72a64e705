//! What pages are made of.

use testbed::client::http1::{self, Client};

use super::api::{Agent, request};
use super::html::Page;

/// The addresses that a page loads.
fn loaded(page: &Page) -> Vec<String> {
    let links = page.all("link").filter_map(|it| it.get("href"));
    links.chain(page.all("script").filter_map(|it| it.get("src"))).map(str::to_owned).collect()
}

fn overview(agent: &Agent) -> Page {
    Page::of(&agent.ask_with("GET /", &[("accept", "text/html")], "").0)
}

#[test]
fn all_of_it_comes_from_the_agent_and_is_kept() {
    let agent = Agent::start();
    let assets = loaded(&overview(&agent));
    assert_eq!(assets.len(), 5, "{assets:?}");
    for path in &assets {
        let answer = agent.ask(&format!("GET {path}")).0;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.is_empty(), "{path}");
        let expected = match path.rsplit_once('.').unwrap().1 {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(answer.header("content-type").as_deref(), Some(expected), "{path}");
        let kept = answer.header("cache-control").unwrap();
        assert!(kept.contains("immutable"), "{path}: {kept}");
        assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"));
        let text = answer.text();
        // Style and script load nothing themselves; the one address is a comment in uPlot's licence line.
        assert!(!text.contains("@import") && !text.contains("url("), "{path}");
        assert!(!text.contains("eval(") && !text.contains("new Function"), "{path}");
    }
    // Another program's parts are not taken for this one's.
    let other = assets[0].replace(assets[0].split('/').nth(2).unwrap(), "0000000000000000");
    assert_eq!(agent.ask(&format!("GET {other}")).status(), 404);
}

#[test]
fn a_low_rate_does_not_cost_a_page_its_style() {
    let admin = testbed::ports::free_addr();
    let _mirror = super::running::mirror::Mirror::configured(&format!(
        "[admin]\nlisten = \"{admin}\"\nrate = \"1/h\"\n\n[[target]]\nname = \"staging\"\n\
         url = \"http://127.0.0.1:9/\"\n"
    ));
    let asked = request("GET /", &[("accept", "text/html")], "");
    let page = http1::exchange(admin, asked.as_bytes()).unwrap();
    let assets = loaded(&Page::of(&page));
    let mut client = Client::connect(admin).unwrap();
    for path in &assets {
        let asked = request(&format!("GET {path}"), &[], "");
        assert_eq!(client.exchange(asked.as_bytes()).unwrap().status, 200, "{path}");
    }
    let second = client.exchange(asked.as_bytes()).unwrap();
    assert_eq!(second.status, 429);
    assert!(Page::of(&second).text().contains("admin.rate"));
}
