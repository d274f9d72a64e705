//! Whom the pages let in, and what they tell whom they do not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use testbed::client::http1::{self, Response};
use testbed::ports;

use super::api::{Agent, request};
use super::html::Page;
use super::running::mirror::Mirror;

const TOKEN: &str = "correct-horse-battery-staple";
const HTML: (&str, &str) = ("accept", "text/html");

/// An agent with a token.
struct Locked {
    mirror: Mirror,
    admin: std::net::SocketAddr,
}

fn locked() -> Locked {
    let admin = ports::free_addr();
    let mirror = Mirror::configured(&format!(
        "[admin]\nlisten = \"{admin}\"\ntoken = \"{TOKEN}\"\n\n[[target]]\nname = \"staging\"\n\
         url = \"http://127.0.0.1:9/\"\n"
    ));
    Locked { mirror, admin }
}

impl Locked {
    fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Response {
        http1::exchange(self.admin, request(line, headers, "").as_bytes()).unwrap()
    }
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[test]
fn a_browser_is_asked_for_the_token_and_comes_in_with_it() {
    let agent = locked();
    let asked = agent.ask("GET /", &[HTML]);
    assert_eq!(asked.status, 401);
    let challenge = asked.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Basic realm=\"spoa-mirror\""), "{challenge}");
    let page = Page::of(&asked);
    assert!(page.text().contains("as the password"), "{}", page.text());
    assert!(!page.text().contains("staging"), "a stranger learns nothing");
    for user in ["", "anna", "spoa-mirror"] {
        let entry = basic(&format!("{user}:{TOKEN}"));
        let shown = agent.ask("GET /", &[HTML, ("authorization", &entry)]);
        assert!(Page::of(&shown).text().contains("staging"));
        assert_eq!(agent.ask("GET /api/v1/status", &[("authorization", &entry)]).status, 200);
    }
    for wrong in [
        basic("anna:wrong-horse-battery-staple"),
        basic(&format!("anna:{TOKEN}:")),
        basic(TOKEN),
        basic(&format!("{TOKEN}:")),
        format!("Basic {TOKEN}"),
        "Basic".to_owned(),
        "Basic ".to_owned(),
    ] {
        let refused = agent.ask("GET /", &[HTML, ("authorization", &wrong)]);
        assert_eq!(refused.status, 401, "{wrong}");
    }
}

#[test]
fn a_program_is_asked_as_before() {
    let agent = locked();
    for headers in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        let asked = agent.ask("GET /api/v1/status", headers);
        assert_eq!(asked.status, 401);
        let challenge = asked.header("www-authenticate").unwrap();
        assert_eq!(challenge, "Bearer realm=\"spoa-mirror\"");
        assert_eq!(asked.header("content-type").as_deref(), Some("application/json"));
    }
}

#[test]
fn a_first_visit_is_no_attack_and_a_wrong_password_may_be_one() {
    let agent = locked();
    assert_eq!(agent.ask("GET /", &[HTML]).status, 401);
    let guess = basic("anna:wrong");
    assert_eq!(agent.ask("GET /", &[HTML, ("authorization", &guess)]).status, 401);
    agent.mirror.wait_told("asked without the right token");
    assert_eq!(agent.mirror.told("asked without the right token").len(), 1);
}

#[test]
fn a_password_that_a_browser_keeps_is_of_no_use_to_other_sites() {
    let agent = locked();
    let entry = basic(&format!("anna:{TOKEN}"));
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let headers = [("authorization", entry.as_str()), (name, value)];
        assert_eq!(agent.ask("POST /api/v1/pause", &headers).status, 403, "{name}");
    }
    let own = format!("http://{}", agent.admin);
    let host = agent.admin.to_string();
    let headers = [("authorization", entry.as_str()), ("origin", &own), ("host", &host)];
    assert_eq!(agent.ask("POST /api/v1/pause", &headers).status, 200);
}

#[test]
fn nothing_but_what_everybody_has_is_shown_without_the_token() {
    let agent = locked();
    for path in ["/", "/events", "/nowhere", "/api/v1/status"] {
        let asked = agent.ask(&format!("GET {path}"), &[HTML]);
        assert_eq!(asked.status, 401, "{path}");
    }
    let page = Page::of(&agent.ask("GET /", &[HTML]));
    let style = page.all("link").filter_map(|it| it.get("href")).last().unwrap().to_owned();
    assert_eq!(agent.ask(&format!("GET {style}"), &[]).status, 200);
    assert_eq!(agent.ask(&format!("POST {style}"), &[]).status, 401);
    // Only what is in the folder is: dots lead nowhere.
    for path in ["/assets/../", "/assets/..%2f", "/assets/x/..%2f..%2fapi%2fv1%2fstatus"] {
        assert_eq!(agent.ask(&format!("GET {path}"), &[]).status, 404, "{path}");
    }
}

#[test]
fn what_is_refused_is_told_in_the_form_asked_for() {
    let agent = Agent::start();
    let missing = agent.ask_with("GET /nowhere", &[HTML], "");
    assert_eq!(missing.status(), 404);
    assert!(Page::of(&missing.0).text().contains("there is nothing here"));
    assert_eq!(agent.ask("GET /nowhere").error(), "not-found");
    let wrong = agent.ask_with("POST /", &[HTML], "");
    assert_eq!(wrong.status(), 405);
    assert!(wrong.0.header("allow").unwrap().contains("GET"));
    Page::of(&wrong.0);
    let foreign = agent.ask_with("GET /", &[HTML, ("host", "evil.example")], "");
    assert_eq!(foreign.status(), 421);
    Page::of(&foreign.0);
}
