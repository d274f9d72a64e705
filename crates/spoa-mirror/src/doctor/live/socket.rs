//! What a running HAProxy says of the agents' servers (`--socket`): whether they are up, and what went wrong with
//! the connections to them.

use serde::Serialize;

use super::runtime::{Runtime, Unusable};
use super::statistics::{Row, on_usual_port, rows, text};
use crate::config::ListenAddress;
use crate::doctor::finding::{Code, Finding, Severity, code};

pub(super) static SOCKET_UNUSABLE: Code = code!("socket-unusable");
pub(super) static BACKEND_NOT_RUNNING: Code = code!("backend-not-running");
pub(super) static SERVER_DOWN: Code = code!("server-down");
pub(super) static SERVER_DISABLED: Code = code!("server-disabled");
pub(super) static SERVER_UNCHECKED: Code = code!("server-unchecked");
pub(super) static SERVER_ERRORS: Code = code!("server-errors");
pub(super) static SERVER_QUEUE: Code = code!("server-queue");

/// Of this many attempts one that failed is worth a warning.
const ONE_FAILED_OF: u64 = 100;

/// What HAProxy told.
#[derive(Debug, Serialize)]
pub(crate) struct Running {
    /// Where it was asked.
    pub(crate) socket: String,
    /// Its version, as it writes it.
    pub(crate) version: String,
    /// Whether it was asked through its master.
    pub(crate) through_master: bool,
    /// The servers of the backends with agents.
    pub(crate) servers: Vec<ServerState>,
    #[serde(skip)]
    rows: Vec<Row>,
    /// Backends with a server on the agent's usual port.
    #[serde(skip)]
    on_usual_port: Vec<String>,
}

/// How a server stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ServerState {
    pub(crate) backend: String,
    pub(crate) name: String,
    /// As HAProxy has it: `UP`, `DOWN 1/2`, `no check`, `MAINT`.
    pub(crate) status: String,
    /// The last check's result: `L7OK`, `L4CON`.
    pub(crate) check: String,
    /// The same in words.
    pub(crate) check_says: String,
    /// How long that check took, in milliseconds.
    pub(crate) check_ms: Option<u64>,
    /// For how long the server has stood so, in seconds.
    pub(crate) since_seconds: Option<u64>,
    /// Connections now, and the most there were.
    pub(crate) sessions: u64,
    pub(crate) most_sessions: u64,
    /// Connections that were opened or tried since HAProxy's start.
    pub(crate) total_sessions: u64,
    /// Connections that did not come about.
    pub(crate) connect_errors: u64,
    /// Connections that broke off, or answers that were no SPOP.
    pub(crate) response_errors: u64,
    /// Attempts to connect that were made again.
    pub(crate) retries: u64,
}

/// Asks a running HAProxy for its version and the state of all servers.
///
/// # Errors
/// It cannot be asked.
pub(super) async fn ask(place: ListenAddress) -> Result<Running, Unusable> {
    let socket = place.to_string();
    let runtime = Runtime::open(place).await?;
    let rows = rows(&runtime.ask("show stat").await?);
    if rows.is_empty() {
        return Err(Unusable {
            why: format!("HAProxy at {socket} does not tell its statistics"),
            mend: "name a `stats socket` of level `user` or above".to_owned(),
        });
    }
    // A help where names say nothing: a socket that does not allow it is no reason to give up.
    let state = runtime.ask("show servers state").await.unwrap_or_default();
    Ok(Running {
        socket,
        version: runtime.version.clone(),
        through_master: runtime.through_master(),
        servers: Vec::new(),
        rows,
        on_usual_port: on_usual_port(&state),
    })
}

/// What is wrong with the servers of these backends, or, where the files do not tell which, of those that look
/// as if they held agents.
pub(super) fn examine(
    running: &mut Running,
    backends: Option<&[String]>,
    findings: &mut Vec<Finding>,
) {
    let chosen = match backends {
        Some(names) => names.to_vec(),
        None => running.likely_backends(),
    };
    for name in &chosen {
        running.judge(name, findings);
    }
    if chosen.is_empty() && backends.is_none() {
        let message = "HAProxy has no backend whose name, mode or port is a mirroring agent's";
        let finding = Finding::new(&BACKEND_NOT_RUNNING, Severity::Warning, message);
        findings.push(
            finding
                .consequence("nothing was looked at; as it seems, nothing is mirrored")
                .mend("give the files as well (`--haproxy FILE`): they say which backend it is"),
        );
    }
}

/// The finding for a socket that is of no use.
pub(super) fn unusable(unusable: &Unusable) -> Finding {
    Finding::new(&SOCKET_UNUSABLE, Severity::Error, unusable.why.clone())
        .consequence("nothing is known of the running HAProxy")
        .mend(unusable.mend.clone())
}

impl Running {
    /// Backends that mirror by their names; else those with the usual port; else those that speak SPOP.
    fn likely_backends(&self) -> Vec<String> {
        let backends = || self.rows.iter().filter(|row| text(row, "svname") == "BACKEND");
        let named = |test: &dyn Fn(&Row) -> bool| -> Vec<String> {
            backends().filter(|row| test(row)).map(|row| text(row, "pxname").to_owned()).collect()
        };
        let by_name = named(&|row| {
            let name = text(row, "pxname").to_ascii_lowercase();
            text(row, "mode") != "http" && (name.contains("mirror") || name.contains("shadow"))
        });
        let by_port =
            || named(&|row| self.on_usual_port.iter().any(|name| name == text(row, "pxname")));
        let by_mode = || named(&|row| text(row, "mode") == "spop");
        [by_name, by_port(), by_mode()]
            .into_iter()
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    fn judge(&mut self, backend: &str, findings: &mut Vec<Finding>) {
        let of_backend = |row: &&Row| text(row, "pxname") == backend;
        if !self.rows.iter().any(|row| of_backend(&row)) {
            findings.push(self.not_running(backend));
            return;
        }
        let servers = self.rows.iter().filter(of_backend).filter(|row| text(row, "type") == "2");
        let servers: Vec<ServerState> = servers.map(|row| ServerState::new(backend, row)).collect();
        findings.extend(down(backend, &servers));
        for server in &servers {
            findings.extend(server.disabled());
            findings.extend(server.unchecked());
            findings.extend(server.errors());
        }
        findings.extend(queue(backend, self.rows.iter().filter(of_backend)));
        self.servers.extend(servers);
    }

    fn not_running(&self, backend: &str) -> Finding {
        let message = format!("the HAProxy at {} has no backend `{backend}`", self.socket);
        Finding::new(&BACKEND_NOT_RUNNING, Severity::Warning, message)
            .consequence(
                "it runs another configuration than these files: what they say is not what it does",
            )
            .mend("reload HAProxy, or give the files and the socket of the same HAProxy")
    }
}

/// Servers that HAProxy takes for dead.
fn down(backend: &str, servers: &[ServerState]) -> Vec<Finding> {
    let down: Vec<_> = servers.iter().filter(|server| server.status.starts_with("DOWN")).collect();
    let usable = servers.iter().filter(|server| server.is_usable()).count();
    let describe = |server: &&ServerState| {
        let severity = if usable == 0 { Severity::Error } else { Severity::Warning };
        let message = format!(
            "server `{}` of backend `{backend}` is {}{}{}",
            server.name,
            server.status,
            server.since(),
            server.why()
        );
        let consequence = if usable == 0 {
            "no request is mirrored; clients do not wait".to_owned()
        } else {
            format!("the other {usable} of {} get its share", servers.len())
        };
        let mend = match server.check.as_str() {
            "L4CON" | "SOCKERR" => "start the agent, or mend its address: nothing listens there",
            "L4TOUT" => "nothing answers at that address: the wrong one, or a firewall in between",
            "L7TOUT" | "L6TOUT" => {
                "it accepts connections and says nothing: restart the agent, and tell what its log says"
            }
            "L7RSP" | "L6RSP" | "L7STS" => {
                "it answers, but not as this check expects: `option spop-check` for an agent, and its \
                 own port"
            }
            _ => "ask the agent itself: `spoa-mirror doctor --agent ADDRESS`",
        };
        Finding::new(&SERVER_DOWN, severity, message).consequence(consequence).mend(mend)
    };
    down.iter().map(describe).collect()
}

/// What waits for a connection to any server of a backend: in its own queue, or in a server's.
fn queue<'r>(backend: &str, rows: impl Iterator<Item = &'r Row>) -> Option<Finding> {
    let rows = rows.filter(|row| matches!(text(row, "type"), "1" | "2"));
    let queued: u64 = rows.filter_map(|row| text(row, "qcur").parse::<u64>().ok()).sum();
    (queued > 0).then(|| {
        let message = format!("{queued} connections wait for a server of backend `{backend}`");
        Finding::new(&SERVER_QUEUE, Severity::Warning, message)
            .consequence("requests wait with them, up to `timeout processing`")
            .mend("take `maxconn` away from the servers' lines")
    })
}

impl ServerState {
    fn new(backend: &str, row: &Row) -> Self {
        let number = |name: &str| text(row, name).parse::<u64>().ok();
        let count = |name: &str| number(name).unwrap_or(0);
        Self {
            backend: backend.to_owned(),
            name: printable(text(row, "svname")),
            status: printable(text(row, "status")),
            // An asterisk says that a check is under way.
            check: printable(text(row, "check_status").trim_start_matches("* ")),
            check_says: printable(text(row, "last_chk")),
            check_ms: number("check_duration"),
            since_seconds: number("lastchg"),
            sessions: count("scur"),
            most_sessions: count("smax"),
            total_sessions: count("stot"),
            connect_errors: count("econ"),
            response_errors: count("eresp"),
            retries: count("wretr"),
        }
    }

    fn is_usable(&self) -> bool {
        self.status.starts_with("UP") || self.status == "no check"
    }

    fn since(&self) -> String {
        self.since_seconds.map_or_else(String::new, |seconds| format!(" for {seconds} s"))
    }

    /// What the check says, in brackets.
    fn why(&self) -> String {
        let words = [self.check.as_str(), self.check_says.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        if words.is_empty() { String::new() } else { format!(" ({})", words.join(": ")) }
    }

    fn disabled(&self) -> Option<Finding> {
        let by_hand =
            ["MAINT", "DRAIN", "NOLB"].iter().any(|status| self.status.starts_with(status));
        let Self { backend, name, .. } = self;
        by_hand.then(|| {
            let message = format!(
                "server `{name}` of backend `{backend}` is in {}{}",
                self.status,
                self.since()
            );
            let resolution = self.status.contains("resolution");
            let mend = if resolution {
                "its name has no address: mend the name server, or give the agent's address"
                    .to_owned()
            } else {
                format!("if that is over: `enable server {backend}/{name}` at the Runtime API")
            };
            Finding::new(&SERVER_DISABLED, Severity::Warning, message)
                .consequence("it gets no requests to mirror")
                .mend(mend)
        })
    }

    fn unchecked(&self) -> Option<Finding> {
        (self.status == "no check").then(|| {
            let Self { backend, name, .. } = self;
            let message = format!("HAProxy does not check server `{name}` of backend `{backend}`");
            Finding::new(&SERVER_UNCHECKED, Severity::Warning, message)
                .consequence("while the agent is gone, requests wait for it, each of them")
                .mend("say `option spop-check` in the backend, and `check` behind the server")
        })
    }

    fn errors(&self) -> Option<Finding> {
        let failed = self.connect_errors + self.response_errors + self.retries;
        if failed == 0 {
            return None;
        }
        let often = failed.saturating_mul(ONE_FAILED_OF) >= self.total_sessions.max(1);
        let severity = if often && self.is_usable() { Severity::Warning } else { Severity::Hint };
        let message = format!(
            "server `{}` of backend `{}`: {} connections refused or not answered, {} broken off, {} tried \
             again, of {} since HAProxy's start",
            self.name,
            self.backend,
            self.connect_errors,
            self.response_errors,
            self.retries,
            self.total_sessions
        );
        Some(
            Finding::new(&SERVER_ERRORS, severity, message)
                .consequence(
                    "the requests of those connections were not mirrored, and may have waited",
                )
                .mend(
                    "run this again after a while: are there more? The agent's log tells its side",
                ),
        )
    }
}

/// What may be shown on a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(csv: &str) -> Running {
        Running {
            socket: "h.sock".to_owned(),
            version: "3.2.1".to_owned(),
            through_master: false,
            servers: Vec::new(),
            rows: rows(csv),
            on_usual_port: vec!["by_port".to_owned()],
        }
    }

    #[test]
    fn backends_are_found_by_name_then_by_port_then_by_mode() {
        let header = "# pxname,svname,type,mode\n";
        let find = |lines: &str| running(&format!("{header}{lines}")).likely_backends();
        let all = "Mirrors,BACKEND,1,tcp\nby_port,BACKEND,1,tcp\nwaf,BACKEND,1,spop\n";
        assert_eq!(find(all), ["Mirrors"]);
        assert_eq!(find("by_port,BACKEND,1,tcp\nwaf,BACKEND,1,spop\n"), ["by_port"]);
        assert_eq!(find("mirror_web,BACKEND,1,http\nwaf,BACKEND,1,spop\n"), ["waf"]);
        assert_eq!(find("web,BACKEND,1,http\n"), [""; 0]);
    }

    #[test]
    fn a_dead_server_is_an_error_when_no_other_is_left() {
        let csv = "# pxname,svname,type,mode,status,check_status,last_chk,lastchg\n\
                   m,a1,2,tcp,DOWN,* L4CON,Connection refused,7\nm,a2,2,tcp,UP 1/2,L7OK,,9\n";
        let mut findings = Vec::new();
        examine(&mut running(csv), Some(&["m".to_owned()]), &mut findings);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].code, findings[0].severity), (&SERVER_DOWN, Severity::Warning));
        let told = "server `a1` of backend `m` is DOWN for 7 s (L4CON: Connection refused)";
        assert_eq!(findings[0].message, told);

        findings.clear();
        examine(
            &mut running(&csv.replace("UP 1/2", "MAINT")),
            Some(&["m".to_owned()]),
            &mut findings,
        );
        assert_eq!(findings[0].severity, Severity::Error);
        assert_eq!(findings[1].code, &SERVER_DISABLED);
    }

    #[test]
    fn errors_are_a_warning_where_they_are_many() {
        let of = |econ: &str, total: &str| {
            let csv = format!(
                "# pxname,svname,type,mode,status,econ,eresp,wretr,stot\nm,a,2,tcp,UP,{econ},0,0,{total}\n"
            );
            let mut findings = Vec::new();
            examine(&mut running(&csv), Some(&["m".to_owned()]), &mut findings);
            findings.first().map(|finding| finding.severity)
        };
        assert_eq!(of("0", "10"), None);
        assert_eq!(of("1", "1000"), Some(Severity::Hint));
        assert_eq!(of("10", "1000"), Some(Severity::Warning));
        assert_eq!(of("1", "0"), Some(Severity::Warning));
    }
}
