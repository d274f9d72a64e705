//! Clients: wrk for a closed loop, h2load for a fixed rate.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::case::{Case, Load};

/// What clients saw.
pub(crate) struct Seen {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Milliseconds to an answer.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Requests without a good answer.
    pub(crate) errors: u64,
}

/// Clients at work.
pub(crate) struct Clients {
    child: Child,
    log: Option<std::path::PathBuf>,
    seconds: f64,
}

impl Clients {
    /// Starts them; they stop by themselves after `seconds`.
    pub(crate) fn start(case: &Case, address: SocketAddr, seconds: f64, directory: &Path) -> Self {
        let (mut command, log) = match case.load {
            Load::Closed(clients) => (wrk(case, address, clients, seconds, directory), None),
            Load::Rate(rate) => {
                let log = directory.join("h2load.log");
                let _ = fs::remove_file(&log);
                (h2load(case, address, rate, seconds, directory, &log), Some(log))
            }
        };
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, log, seconds }
    }

    /// Waits for their end.
    pub(crate) fn end(self) -> Result<Seen, String> {
        let output = self.child.wait_with_output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let seen = match &self.log {
            None => read_wrk(&text),
            Some(log) => read_h2load(&fs::read_to_string(log).unwrap_or_default(), self.seconds),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        seen.ok_or_else(|| format!("the clients' report cannot be read: {text}\n{said}"))
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
        .arg(format!("{seconds}s"))
        .arg("-s")
        .arg(script)
        .arg(format!("http://{address}/path?query=1"));
    command
}

fn h2load(
    case: &Case,
    address: SocketAddr,
    rate: u32,
    seconds: f64,
    directory: &Path,
    log: &Path,
) -> Command {
    const CLIENTS: u32 = 32;
    let mut command = Command::new("h2load");
    command
        .args(["--h1", "-t", "1", "-c", &CLIENTS.to_string(), "-D", &seconds.to_string(), "--rps"])
        .arg((f64::from(rate) / f64::from(CLIENTS)).to_string())
        .arg("--log-file")
        .arg(log);
    if case.request.body > 0 {
        let body = directory.join("body");
        fs::write(&body, vec![b'b'; case.request.body]).unwrap();
        command.arg("-d").arg(body);
    }
    command.arg(format!("http://{address}/path?query=1"));
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

/// Reads h2load's log: for each request its start, its status and its time, in microseconds.
fn read_h2load(log: &str, seconds: f64) -> Option<Seen> {
    let mut times = Vec::new();
    let mut errors = 0;
    for line in log.lines() {
        let mut fields = line.split('\t').skip(1);
        let status: i32 = fields.next()?.parse().ok()?;
        let time: f64 = fields.next()?.parse().ok()?;
        if status == 200 { times.push(time / 1000.0) } else { errors += 1 }
    }
    times.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        // An index below the length, for any number of requests that fits a file.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = (times.len() as f64 * q) as usize;
        times.get(index.min(times.len().saturating_sub(1))).copied()
    };
    Some(Seen {
        rate: times.len() as f64 / seconds,
        p50: quantile(0.5)?,
        p99: quantile(0.99)?,
        errors,
    })
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

    #[test]
    fn what_h2load_logs() {
        let log: String =
            (1..=100).map(|n| format!("1700000000000000\t200\t{}\n", n * 10)).collect();
        let seen = read_h2load(&(log + "1700000000000000\t-1\t5\n"), 2.0).expect("a log");
        assert_eq!((seen.rate, seen.p50, seen.p99, seen.errors), (50.0, 0.51, 1.0, 1));
    }
}
