//! chromedriver with one browser in it, and the W3C WebDriver commands to it: JSON over HTTP.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::Agent;
use crate::client::http1;
use crate::ports;

/// A browser takes seconds to start on a machine that does much else.
const START: Duration = Duration::from_secs(60);

/// What a command did not do.
#[derive(Debug)]
pub(super) struct Failure {
    /// WebDriver's name for it: `no such element`, `stale element reference`, ...
    pub(super) kind: String,
    /// What the driver says about it.
    pub(super) message: String,
}

/// A browser and its driver; both are gone, and their files, when this is dropped.
pub(super) struct Driver {
    process: Agent,
    address: SocketAddr,
    session: String,
    browser: Option<Pid>,
    // Removed after the browser has ended.
    _profile: TempDir,
    _seat: Seat,
}

impl Driver {
    /// Starts both, with a profile of their own.
    pub(super) fn start() -> Self {
        let seat = Seat::take();
        // With 0, the port that it finds free for IPv6 may be taken for IPv4.
        let address = ports::free_addr();
        let process = Agent::start("chromedriver", [format!("--port={}", address.port())]);
        process.wait_line(START, |line| line.contains("started successfully on port"));
        let profile = TempDir::new().unwrap();
        let mut driver = Self {
            process,
            address,
            session: String::new(),
            browser: None,
            _profile: profile,
            _seat: seat,
        };
        let arguments = driver.arguments();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        }}});
        let begun = driver.send("POST", "/session", Some(&wanted));
        let begun = begun.unwrap_or_else(|failure| panic!("no browser: {failure:?}"));
        driver.session = begun["sessionId"].as_str().expect("a session has a name").to_owned();
        let pid = begun["capabilities"]["goog:processID"].as_i64();
        driver.browser = pid.and_then(|pid| pid.try_into().ok()).map(Pid::from_raw);
        driver
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-default-browser-check",
            "--no-first-run",
            "--no-proxy-server",
            // The same pixels on every machine that has the same fonts.
            "--font-render-hinting=none",
            "--force-color-profile=srgb",
            "--force-device-scale-factor=1",
            "--lang=en-US",
        ]
        .map(str::to_owned)
        .into();
        if Uid::effective().is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        arguments.push(format!("--user-data-dir={}", self._profile.path().display()));
        arguments
    }

    /// `GET` without a body, `POST` with one, of what a session has at `path`.
    pub(super) fn command(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        self.send(method, &format!("/session/{}{path}", self.session), body)
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let broken = |error: &dyn std::fmt::Display| Failure {
            kind: "no answer".to_owned(),
            message: format!("{method} {path}: {error}"),
        };
        let answer = http1::exchange(self.address, request.as_bytes());
        let answer = answer.map_err(|error| broken(&error))?;
        let mut json: Value =
            serde_json::from_slice(&answer.body).map_err(|error| broken(&error))?;
        let value = json["value"].take();
        if answer.status == 200 {
            return Ok(value);
        }
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Err(Failure { kind: text("error"), message: text("message") })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // This ends the browser; one that does not obey is killed.
        let ended = self.command("DELETE", "", None);
        if let (Err(_), Some(pid)) = (ended, self.browser) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        self.process.kill();
    }
}

/// Room for a browser on this machine: with too many at once each becomes slow.
struct Seat;

static FREE: Mutex<usize> = Mutex::new(2);
static FREED: Condvar = Condvar::new();

impl Seat {
    fn take() -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            FREED.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Self
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        FREED.notify_one();
    }
}
