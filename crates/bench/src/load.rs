//! Clients: wrk for a closed loop, a client of our own for a fixed rate.
//!
//! h2load's `--rps` is no fixed rate: its clients start together and keep step, so that 32 of them send 32
//! requests at once, and then nothing until all are due again. Ours sends them evenly spaced.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use testbed::agent::Agent;
use testbed::wait;

use crate::beside_us;
use crate::case::{Case, Load, Target};

/// Load before the measurement begins, in seconds; longer with a target that answers after a second and has
/// its copies in flight only then.
const WARM_UP: f64 = 1.0;
const SLOW_WARM_UP: f64 = 2.0;

/// What is left of the shortest warm-up to look at the load in it, in seconds.
pub(crate) const WINDOW: f64 = WARM_UP / 2.0;

/// Connections of clients at a fixed rate.
const CONNECTIONS: u32 = 64;

/// What clients saw.
#[derive(Deserialize)]
pub(crate) struct Seen {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Milliseconds to an answer.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Requests without a good answer.
    pub(crate) errors: u64,
    /// Answers, where the client is all that counts them: without and with the warm-up.
    pub(crate) answered: Option<u64>,
    pub(crate) answered_with_warm_up: Option<u64>,
}

/// Clients at work: first they warm up.
pub(crate) enum Clients {
    /// A run to warm up, and how the one that counts is started.
    Wrk(Child, Command),
    Paced(Agent, f64),
}

impl Clients {
    /// Starts them; those at a fixed rate are connected when this returns.
    pub(crate) fn start(
        case: &Case,
        address: SocketAddr,
        seconds: f64,
        directory: &Path,
    ) -> Result<Self, String> {
        let (protocol, connections, rate) = match case.load {
            Load::Closed(clients) => {
                let mut warm_up = wrk(case, address, clients, WARM_UP, directory);
                let measured = wrk(case, address, clients, seconds, directory);
                let warm_up = warm_up.spawn().map_err(|e| format!("cannot start wrk: {e}"))?;
                return Ok(Self::Wrk(warm_up, measured));
            }
            Load::Rate(rate) => ("http", CONNECTIONS, rate),
            Load::Spop { connections, rate } => ("spop", connections, rate),
        };
        let slow = matches!(case.target, Target::Slow | Target::Everything);
        let warm_up = if slow { SLOW_WARM_UP } else { WARM_UP };
        let arguments = [protocol.to_owned(), address.to_string()].into_iter();
        let options = [
            ("connections", connections.to_string()),
            ("rate", rate.to_string()),
            ("warm-up", warm_up.to_string()),
            ("seconds", seconds.to_string()),
        ];
        let options = options.map(|(name, value)| format!("--{name}={value}"));
        let client = Agent::start(beside_us("paced_client"), arguments.chain(options));
        client.wait_line(wait::LIMIT, |line| line == "connected");
        Ok(Self::Paced(client, seconds))
    }

    /// Waits for the end of the warm-up; what counts follows at once.
    pub(crate) fn warm(self) -> Result<Measuring, String> {
        match self {
            Self::Wrk(mut warm_up, mut measured) => {
                warm_up.wait().map_err(|error| error.to_string())?;
                let measured = measured.spawn().map_err(|error| error.to_string())?;
                Ok(Measuring::Wrk(measured))
            }
            Self::Paced(client, seconds) => {
                client.wait_line(wait::LIMIT, |line| line == "warm");
                Ok(Measuring::Paced(client, seconds))
            }
        }
    }
}

/// Clients whose requests count.
pub(crate) enum Measuring {
    Wrk(Child),
    Paced(Agent, f64),
}

impl Measuring {
    /// Waits for the last answer. Those at a fixed rate keep their connections until they are dropped.
    pub(crate) fn end(&mut self) -> Result<Seen, String> {
        match self {
            Self::Wrk(child) => {
                let mut text = String::new();
                let mut output = child.stdout.take().ok_or("wrk has no output")?;
                std::io::Read::read_to_string(&mut output, &mut text).map_err(|e| e.to_string())?;
                child.wait().map_err(|error| error.to_string())?;
                read_wrk(&text).ok_or_else(|| format!("wrk's report cannot be read: {text}"))
            }
            Self::Paced(client, seconds) => {
                let limit = wait::LIMIT + Duration::from_secs_f64(*seconds);
                let line = client.wait_line(limit, |line| line.starts_with('{'));
                serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))
            }
        }
    }
}

fn wrk(case: &Case, address: SocketAddr, clients: u32, seconds: f64, directory: &Path) -> Command {
    let script = directory.join("request.lua");
    let mut text = format!("wrk.method = \"{}\"\n", case.request.method);
    for number in 0..case.request.headers {
        text +=
            &format!("wrk.headers[\"x-header-{number}\"] = \"value of header number {number}\"\n");
    }
    if case.request.body > 0 {
        text += &format!("wrk.body = string.rep(\"b\", {})\n", case.request.body);
    }
    fs::write(&script, text).unwrap();
    let mut command = Command::new("wrk");
    command
        .args(["--latency", "--timeout", "10s", "-t", "1", "-c", &clients.to_string(), "-d"])
        // It knows whole seconds only.
        .arg(format!("{}s", seconds.ceil().max(1.0)))
        .arg("-s")
        .arg(script)
        .arg(format!("http://{address}/path?query=1"))
        .stdout(Stdio::piped());
    command
}

/// Reads `Requests/sec: 1234.5`, `50%  1.23ms`, `99% ...` and what went wrong.
fn read_wrk(text: &str) -> Option<Seen> {
    let field = |name: &str| {
        let line = text.lines().map(str::trim).find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    let bad = text.lines().filter(|line| line.contains("errors:") || line.contains("Non-2xx"));
    let bad =
        bad.flat_map(|line| line.split([',', ' ', ':'])).filter_map(|w| w.parse::<u64>().ok());
    Some(Seen {
        rate: field("Requests/sec:")?.parse().ok()?,
        p50: milliseconds(&field("50%")?)?,
        p99: milliseconds(&field("99%")?)?,
        errors: bad.sum(),
        answered: None,
        answered_with_warm_up: None,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        _ => return None,
    };
    Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says() {
        let seen = read_wrk(
            "Running 1s test\n  Latency Distribution\n     50%  500.00us\n     99%    1.70ms\n  \
             100 requests in 1.00s\n  Socket errors: connect 0, read 2, write 0, timeout 1\n\
             Requests/sec:  55956.10\n",
        )
        .expect("a report");
        assert_eq!((seen.rate, seen.p50, seen.p99, seen.errors), (55956.1, 0.5, 1.7, 3));
    }
}
