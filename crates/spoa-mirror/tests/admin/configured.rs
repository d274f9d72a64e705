//! An admin API set up by a configuration file: a token, TLS, and what is not shown of it.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tempfile::TempDir;
use testbed::client::http1;
use testbed::tls::Authority;
use testbed::{ports, wait};

use super::api::{ask_over, request, unix};
use super::running::mirror::{Mirror, PROGRAM};
use super::running::spop::Peer;

const TOKEN: &str = "correct-horse-battery-staple";

/// An agent whose admin API other machines may reach, over TLS and with a token.
struct Far {
    mirror: Mirror,
    admin: SocketAddr,
    socket: PathBuf,
    authority: Authority,
    directory: TempDir,
}

fn far() -> Far {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let pem = write("admin.pem", &authority.identity(&["localhost"]).pem_with_key());
    let token = write("token", &format!("{TOKEN}\n"));
    authority.write_pem(directory.path());
    let socket = directory.path().join("admin.sock");
    let admin = ports::free_addr();
    let mirror = Mirror::configured(&format!(
        "[admin]\n\
         listen = [\"0.0.0.0:{}\", \"unix:{}\"]\n\
         token = \"file:{}\"\n\
         tls = {{ certificate = \"{pem}\", key = \"{pem}\" }}\n\
         \n\
         [[target]]\n\
         name = \"staging\"\n\
         url = \"http://127.0.0.1:9\"\n\
         headers = {{ set = {{ x-api-key = \"hunter2-hunter2\" }} }}\n",
        admin.port(),
        socket.display(),
        token.display(),
        pem = pem.display(),
    ));
    Far { mirror, admin, socket, authority, directory }
}

impl Far {
    /// Status and body of an answer over TLS.
    fn ask(&self, line: &str, token: Option<&str>) -> (u16, String) {
        let name = ServerName::try_from("localhost").unwrap();
        let config = self.authority.client_config(&["http/1.1"]);
        let client = ClientConnection::new(config, name).unwrap();
        let tcp = TcpStream::connect(self.admin).unwrap();
        tcp.set_read_timeout(Some(wait::LIMIT)).unwrap();
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> =
            bearer.iter().map(|value| ("authorization", value.as_str())).collect();
        ask_over(StreamOwned::new(client, tcp), line, &headers)
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

#[test]
fn the_token_is_needed_everywhere_but_for_health() {
    let far = far();
    assert_eq!(far.ask("GET /healthz", None).0, 200);
    for line in ["GET /readyz", "GET /metrics", "GET /api/v1/status", "POST /api/v1/pause", "GET /"]
    {
        assert_eq!(far.ask(line, None).0, 401, "{line}");
        assert_eq!(far.ask(line, Some("correct-horse-battery-stapl")).0, 401, "{line}");
        assert_eq!(far.ask(line, Some("correct-horse-battery-staplE")).0, 401, "{line}");
    }
    let told = far.mirror.wait_told("asked without the right token");
    assert!(told.contains("127.0.0.1:") && !told.contains("horse"), "{told}");
    assert_eq!(far.ask("GET /readyz", Some(TOKEN)).0, 200);
    assert_eq!(far.ask("POST /api/v1/pause", Some(TOKEN)).0, 200);
    // It is needed on a unix socket as well, once there is one.
    assert_eq!(ask_over(unix(&far.socket), "GET /readyz", &[]).0, 401);
    let bearer = format!("bearer {TOKEN}");
    assert_eq!(ask_over(unix(&far.socket), "GET /readyz", &[("authorization", &bearer)]).0, 200);
}

#[test]
fn nothing_passes_beside_tls() {
    let far = far();
    let bearer = format!("Bearer {TOKEN}");
    let plain = request("GET /healthz", &[("authorization", &bearer)], "");
    assert!(http1::exchange(far.admin, plain.as_bytes()).is_err());
    assert_eq!(far.ask("GET /healthz", None).0, 200);
}

#[test]
fn secrets_are_shown_nowhere() {
    let far = far();
    let (status, config) = far.ask("GET /api/v1/config", Some(TOKEN));
    assert_eq!(status, 200);
    assert!(config.contains("[hidden]") && config.contains("x-api-key"), "{config}");
    let (_, targets) = far.ask("GET /api/v1/status", Some(TOKEN));
    for text in [config, targets, far.mirror.process.output().all().join("\n")] {
        for secret in [TOKEN, "hunter2-hunter2", "PRIVATE KEY"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn the_command_line_asks_over_tls_with_a_token() {
    let far = far();
    let place = format!("https://localhost:{}", far.admin.port());
    let (ca, token) = (far.file("authority.pem"), far.file("token"));
    let run = |args: &[&str]| -> Output {
        let args = [&["status", "--admin", &place], args].concat();
        Command::new(PROGRAM).args(args).output().unwrap()
    };
    let shown = run(&["--ca", &ca, "--token-file", &token]);
    assert!(shown.status.success(), "{shown:?}");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("staging"), "{shown:?}");
    let wrong = far.file("wrong");
    std::fs::write(&wrong, "0123456789abcdef").unwrap();
    for (args, advice) in [
        (&["--ca", ca.as_str()][..], "--token-file FILE"),
        (&["--ca", &ca, "--token-file", &wrong], "does not accept the token"),
        (&["--token-file", &token], "--ca FILE"),
    ] {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(told.contains(advice) && !told.contains(TOKEN), "{told}");
    }
}

#[test]
fn an_open_breaker_is_shown() {
    let (admin, nobody) = (ports::free_addr(), ports::free_addr());
    let mirror = Mirror::configured(&format!(
        "[admin]\nlisten = \"{admin}\"\n\n[[target]]\nname = \"dead\"\nurl = \"http://{nobody}\"\n\
         breaker = {{ failures = 2, open = \"1h\" }}\n"
    ));
    let breaker = || {
        let asked = request("GET /api/v1/targets/dead", &[], "");
        let answer = http1::exchange(admin, asked.as_bytes()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()["breaker"].clone()
    };
    assert_eq!(breaker()["state"], "closed");
    let mut peer = Peer::greeted(mirror.address);
    for stream in 1..=5 {
        peer.mirror(stream, "/");
    }
    wait::holds(wait::LIMIT, "the breaker opens", || breaker()["state"] == "open");
    assert_eq!(breaker()["opened"], 1);
    let place = admin.to_string();
    let shown = Command::new(PROGRAM).args(["status", "--admin", &place]).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("(breaker open for "), "{shown}");
}

/// Runs the program with this configuration file, which it must refuse; gives what it says.
fn refused(directory: &Path, toml: &str) -> String {
    let file = directory.join("refused.toml");
    std::fs::write(&file, toml).unwrap();
    let output = Command::new(PROGRAM).arg("--config").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_open_door_or_a_broken_certificate_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let told = refused(directory.path(), "[admin]\nlisten = \"0.0.0.0:9600\"\n");
    assert!(told.contains("admin.token") && told.contains("refused.toml"), "{told}");
    let told = refused(directory.path(), "[admin]\nlisten = \"0.0.0.0:9600\"\ntoken = \"short\"\n");
    assert!(told.contains("16 or more") && !told.contains("\"short\""), "{told}");
    std::fs::write(directory.path().join("x.pem"), "no PEM").unwrap();
    let told = refused(
        directory.path(),
        "[admin]\nlisten = \"127.0.0.1:9600\"\ntls = { certificate = \"x.pem\", key = \"x.pem\" }\n",
    );
    assert!(told.contains("x.pem"), "{told}");
}
