//! A browser, as a person has it: headless Chromium of Debian, steered by its driver.
//!
//! Elements are named by CSS selectors and looked up at each step, because pages change by themselves. A
//! step waits until it can be done: until the element is there, can be seen, and is not covered.

mod axe;
mod driver;

use std::path::Path;
use std::sync::Mutex;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};

use crate::wait::{self, LIMIT};
use driver::{Driver, Failure};

pub use axe::Violation;

/// Keys that are no characters, for [`Browser::keys`].
pub mod key {
    /// The tabulator.
    pub const TAB: char = '\u{e004}';
    /// Enter.
    pub const ENTER: char = '\u{e007}';
    /// Escape.
    pub const ESCAPE: char = '\u{e00c}';
    /// The left arrow.
    pub const LEFT: char = '\u{e012}';
    /// The up arrow.
    pub const UP: char = '\u{e013}';
    /// The right arrow.
    pub const RIGHT: char = '\u{e014}';
    /// The down arrow.
    pub const DOWN: char = '\u{e015}';
    /// Held until [`super::Browser::keys`] is through: the keys after it are pressed with it.
    pub const SHIFT: char = '\u{e008}';
    /// Held until [`super::Browser::keys`] is through: the keys after it are pressed with it.
    pub const CONTROL: char = '\u{e009}';
}

/// The name that WebDriver gives to references to elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Failures that go away when the page is ready.
const PASSING: [&str; 5] = [
    "no such element",
    "stale element reference",
    "element not interactable",
    "element click intercepted",
    "invalid element state",
];

/// A browser with one window and a profile of its own.
pub struct Browser {
    driver: Driver,
    seen: Mutex<Seen>,
}

/// What the browser told so far.
#[derive(Default)]
struct Seen {
    console: Vec<String>,
    requests: Vec<String>,
}

impl Browser {
    /// Starts it with a window of 1280 by 900 pixels; waits while two others are running in this process.
    ///
    /// # Panics
    /// When `chromedriver` or Chromium does not start.
    pub fn start() -> Self {
        let browser = Self { driver: Driver::start(), seen: Mutex::default() };
        browser.window(1280, 900);
        browser.go("about:blank");
        browser
    }

    /// Opens a page, and waits until it is loaded.
    ///
    /// # Panics
    /// When there is none.
    pub fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// The page's address.
    pub fn url(&self) -> String {
        text(&self.get("/url"))
    }

    /// The page's title.
    pub fn title(&self) -> String {
        text(&self.get("/title"))
    }

    /// The markup of the page as it is now.
    pub fn source(&self) -> String {
        text(&self.get("/source"))
    }

    /// How many elements there are now.
    pub fn count(&self, css: &str) -> usize {
        let found = self.post("/elements", &json!({ "using": "css selector", "value": css }));
        found.as_array().map_or(0, Vec::len)
    }

    /// The text of the first such element as a person sees it; waits for the element.
    pub fn text(&self, css: &str) -> String {
        self.step(css, |browser, element| {
            browser.driver.command("GET", &format!("/element/{element}/text"), None)
        })
        .as_str()
        .unwrap_or_default()
        .to_owned()
    }

    /// Waits until the text of the first such element satisfies `predicate`, and gives it.
    ///
    /// # Panics
    /// After [`LIMIT`], with the last text.
    pub fn wait_text(&self, css: &str, predicate: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = wait::poll(LIMIT, || {
            last = self.text(css);
            predicate(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("the text of `{css}` stays: {last}"))
    }

    /// Waits until there are such elements, or none.
    ///
    /// # Panics
    /// After [`LIMIT`].
    pub fn wait_there(&self, css: &str, there: bool) {
        let what = format!("`{css}` is there: {there}");
        wait::holds(LIMIT, &what, || (self.count(css) > 0) == there);
    }

    /// An attribute of the first such element; waits for the element.
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let value = self.step(css, |browser, element| {
            browser.driver.command("GET", &format!("/element/{element}/attribute/{name}"), None)
        });
        value.as_str().map(str::to_owned)
    }

    /// Clicks on the first such element.
    pub fn click(&self, css: &str) {
        self.step(css, |browser, element| {
            let path = format!("/element/{element}/click");
            browser.driver.command("POST", &path, Some(&json!({})))
        });
    }

    /// Clicks into a field, and types over all that is in it.
    pub fn fill(&self, css: &str, text: &str) {
        self.click(css);
        self.keys([key::CONTROL, 'a']);
        self.keys(text.chars());
    }

    /// Presses keys one after the other, wherever the focus is; see [`key`].
    pub fn keys(&self, keys: impl IntoIterator<Item = char>) {
        let mut actions = Vec::new();
        let mut held = Vec::new();
        for key in keys {
            actions.push(json!({ "type": "keyDown", "value": key }));
            if [key::SHIFT, key::CONTROL].contains(&key) {
                held.push(key);
            } else {
                actions.push(json!({ "type": "keyUp", "value": key }));
            }
        }
        actions.extend(held.into_iter().map(|key| json!({ "type": "keyUp", "value": key })));
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("/actions", &json!({ "actions": [keyboard] }));
    }

    /// Presses the tabulator until the focus is on an element that `css` selects, as a person does who has no
    /// mouse.
    ///
    /// # Panics
    /// When it never is, with the elements that had the focus.
    pub fn tab_to(&self, css: &str) {
        const MOST: usize = 500;
        let mut passed = Vec::new();
        while passed.len() < MOST {
            let focus = self.run(
                "const e = document.activeElement; \
                 return [e.matches(arguments[0]), e.outerHTML.slice(0, 100)]",
                &[json!(css)],
            );
            if focus[0] == true {
                return;
            }
            passed.push(text(&focus[1]));
            self.keys([key::TAB]);
        }
        passed.dedup();
        panic!("the tabulator does not lead to `{css}`, but to {passed:#?}");
    }

    /// Sets the size of the page's area, in CSS pixels.
    pub fn window(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.developer("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the person prefers: `dark` or `light`.
    pub fn prefer_colours(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.developer("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// Whether pages may run scripts, from the next page on.
    pub fn allow_scripts(&self, allowed: bool) {
        self.developer("Emulation.setScriptExecutionDisabled", &json!({ "value": !allowed }));
    }

    /// Runs the body of a function in the page, and gives what it returns.
    ///
    /// # Panics
    /// When it throws.
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// The same, with a function as its last argument that it is to call with the result.
    ///
    /// # Panics
    /// When it throws.
    pub fn run_until_called(&self, script: &str, arguments: &[Value]) -> Value {
        self.post("/execute/async", &json!({ "script": script, "args": arguments }))
    }

    /// Warnings and errors on the console so far: of scripts, of what could not be loaded, of what the content
    /// security policy forbade.
    pub fn console(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap();
        for entry in self.log("browser") {
            let level = entry["level"].as_str().unwrap_or_default();
            if ["WARNING", "SEVERE"].contains(&level) {
                seen.console.push(format!("{level}: {}", text(&entry["message"])));
            }
        }
        seen.console.clone()
    }

    /// The addresses of all that pages asked the network for so far.
    pub fn requests(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap();
        for entry in self.log("performance") {
            let event: Value = serde_json::from_str(&text(&entry["message"])).unwrap();
            let url = text(&event["message"]["params"]["request"]["url"]);
            let within = ["chrome:", "data:", "blob:"].iter().any(|scheme| url.starts_with(scheme));
            if event["message"]["method"] == "Network.requestWillBeSent" && !within {
                seen.requests.push(url);
            }
        }
        seen.requests.clone()
    }

    /// Writes what the window shows to a PNG file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn screenshot(&self, path: &Path) {
        let shot = self.developer("Page.captureScreenshot", &json!({ "format": "png" }));
        let png = BASE64.decode(text(&shot["data"])).unwrap();
        std::fs::write(path, png)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }

    /// Whether the page is wider than the window, so that it must be moved sideways to be read.
    pub fn scrolls_sideways(&self) -> bool {
        let script = "const page = document.scrollingElement; \
                      return page.scrollWidth > page.clientWidth";
        self.run(script, &[]) == true
    }

    /// A command of Chromium's developer tools.
    fn developer(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        match self.post("/se/log", &json!({ "type": kind })) {
            Value::Array(entries) => entries,
            other => panic!("a log that is no list: {other}"),
        }
    }

    fn get(&self, path: &str) -> Value {
        self.driver.command("GET", path, None).unwrap_or_else(|failure| failed(path, &failure))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let done = self.driver.command("POST", path, Some(body));
        done.unwrap_or_else(|failure| failed(path, &failure))
    }

    /// Does something with the first such element, as soon as it can be done.
    fn step(&self, css: &str, act: impl Fn(&Self, &str) -> Result<Value, Failure>) -> Value {
        let wanted = json!({ "using": "css selector", "value": css });
        let mut last = String::new();
        let done = wait::poll(LIMIT, || {
            let found = self.driver.command("POST", "/element", Some(&wanted));
            match found.and_then(|found| act(self, &text(&found[ELEMENT]))) {
                Ok(value) => Some(value),
                Err(failure) if PASSING.contains(&failure.kind.as_str()) => {
                    last = failure.message;
                    None
                }
                Err(failure) => failed(css, &failure),
            }
        });
        done.unwrap_or_else(|| panic!("nothing can be done with `{css}`: {last}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let shown = |path: &str, body: Option<&Value>| {
            let method = if body.is_some() { "POST" } else { "GET" };
            self.driver.command(method, path, body).map_or_else(|f| f.message, |v| text(&v))
        };
        let script = json!({ "script": "return document.body.innerText", "args": [] });
        eprintln!("---- the browser is at {}", shown("/url", None));
        eprintln!("{}", shown("/execute/sync", Some(&script)));
        if let Ok(Value::Array(log)) =
            self.driver.command("POST", "/se/log", Some(&json!({ "type": "browser" })))
        {
            eprintln!("---- its console: {log:#?}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn failed(what: &str, failure: &Failure) -> ! {
    panic!("the browser: {what}: {}: {}", failure.kind, failure.message)
}
