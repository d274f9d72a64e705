//! The browser does what a person does, and sees what a person would not.
#![allow(clippy::unwrap_used)]

use testbed::backend::{Behaviour, Recorder, Response};
use testbed::browser::{Browser, key};

/// A server with one page.
fn page(policy: &str, html: &str) -> Recorder {
    let page = format!("<!DOCTYPE html><html lang=en><title>page</title><main>{html}</main>");
    let response = Response::new(200).header("content-type", "text/html; charset=utf-8");
    let response = response.header("content-security-policy", policy);
    let icon = Response::new(204);
    Recorder::with(Behaviour::custom(move |request| {
        let response = if request.target() == b"/" { response.clone() } else { icon.clone() };
        response.body(page.clone()).to_bytes(request.method())
    }))
}

const FORM: &str = "
    <h1>before</h1><label>name <input id=name></label>
    <button id=late disabled>go</button>
    <script>
      const [name, late] = [document.querySelector('#name'), document.querySelector('#late')];
      name.oninput = () => setTimeout(() => late.disabled = false);
      late.onclick = () => document.querySelector('h1').textContent = 'hello ' + name.value;
    </script>";

#[test]
fn it_clicks_types_and_waits_for_what_the_page_does() {
    let server = page("default-src 'self' 'unsafe-inline'", FORM);
    let browser = Browser::start();
    browser.go(&server.url());
    assert_eq!((browser.title().as_str(), browser.text("h1").as_str()), ("page", "before"));
    browser.fill("#name", "mouse");
    browser.click("#late:enabled");
    browser.wait_text("h1", |text| text == "hello mouse");
    browser.reload();
    browser.tab_to("#name");
    browser.keys("keys".chars());
    browser.wait_there("#late:enabled", true);
    browser.keys([key::TAB, key::ENTER]);
    browser.wait_text("h1", |text| text == "hello keys");
    browser.keys([key::SHIFT, key::TAB]);
    assert_eq!(browser.run("return document.activeElement.id", &[]), "name");
    assert_eq!(browser.console(), [""; 0]);
    let requests = browser.requests();
    assert!(requests.iter().all(|url| url.starts_with(&server.url())), "{requests:?}");
    assert!(requests.contains(&format!("{}/", server.url())), "{requests:?}");
}

#[test]
fn it_can_be_without_scripts_and_in_the_dark() {
    let html = "<style>h1 { color: #111 } @media (prefers-color-scheme: dark) { h1 { color: #eee } }</style>
        <h1>as it came</h1><script>document.querySelector('h1').textContent = 'changed'</script>";
    let server = page("default-src 'self' 'unsafe-inline'", html);
    let browser = Browser::start();
    let colour = || browser.run("return getComputedStyle(document.querySelector('h1')).color", &[]);
    browser.allow_scripts(false);
    browser.prefer_colours("light");
    browser.go(&server.url());
    assert_eq!(browser.text("h1"), "as it came");
    assert_eq!(colour(), "rgb(17, 17, 17)");
    browser.prefer_colours("dark");
    assert_eq!(colour(), "rgb(238, 238, 238)");
    browser.allow_scripts(true);
    browser.reload();
    assert_eq!(browser.text("h1"), "changed");
}

#[test]
fn it_tells_what_the_policy_forbade_and_what_is_no_picture() {
    let server = page("default-src 'self'", "<script>1</script><img alt='' src=/none.png>");
    let browser = Browser::start();
    browser.go(&server.url());
    let console = browser.console();
    assert!(console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
    assert!(browser.requests().iter().any(|url| url.ends_with("/none.png")));
}

#[test]
fn axe_finds_barriers_under_a_strict_policy() {
    let html = "<h1>title</h1><img src=x><input><p style='color: #ccc'>pale</p>";
    let server = page("default-src 'none'; style-src 'unsafe-inline'", html);
    let browser = Browser::start();
    browser.go(&server.url());
    let found = browser.axe();
    let rules: Vec<_> = found.iter().map(|violation| violation.rule.as_str()).collect();
    assert_eq!(rules, ["color-contrast", "image-alt", "label"], "{found:#?}");
    let server = page("default-src 'none'", "<h1>title</h1><p>well</p>");
    browser.go(&server.url());
    assert_eq!(browser.axe(), []);
}

#[test]
fn pages_that_are_too_wide_are_noticed() {
    let server = page("default-src 'unsafe-inline'", "<div style='width: 400px'>wide</div>");
    let browser = Browser::start();
    browser.go(&server.url());
    for (width, scrolls) in [(1280, false), (320, true)] {
        browser.window(width, 700);
        assert_eq!(browser.scrolls_sideways(), scrolls, "{width}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("page.png");
    browser.screenshot(&file);
    let png = std::fs::read(&file).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    // Width and height of the header chunk.
    assert_eq!(png[16..24], [0, 0, 1, 64, 0, 0, 2, 188]);
}

/// How many processes have this in their command line.
fn processes_with(part: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(part)).count()
}

#[test]
fn nothing_of_it_stays() {
    let browser = Browser::start();
    browser.go("chrome://version");
    let profile = browser.text("#profile_path");
    let profile = profile.strip_suffix("/Default").unwrap().to_owned();
    assert!(processes_with(&profile) > 0);
    drop(browser);
    assert_eq!(processes_with(&profile), 0);
    assert!(!std::path::Path::new(&profile).exists(), "{profile}");
}
