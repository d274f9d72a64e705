//! How targets are reached as the configuration file says: proofs of identity, versions of TLS, names, and
//! for how long connections are kept.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::path::Path;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;
use testbed::backend::{Recorder, h2};
use testbed::tls::{Authority, Demands};
use testbed::wait;

use running::mirror::Mirror;
use running::spop::Peer;

/// An authority, its certificate and those of a client in files.
struct Papers {
    authority: Authority,
    directory: TempDir,
}

impl Papers {
    fn new() -> Self {
        let (authority, directory) = (Authority::new(), TempDir::new().unwrap());
        authority.write_pem(directory.path());
        authority.client_identity("agent").write_pems(directory.path());
        Self { authority, directory }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// `tls = { ... }` that trusts the authority.
    fn tls(&self, more: &str) -> String {
        format!("tls = {{ ca = \"{}\"{more} }}", self.file("authority.pem"))
    }

    /// [`Papers::tls`] with the client's certificate.
    fn tls_with_client(&self, more: &str) -> String {
        let (certificate, key) = (self.file("certificate.pem"), self.file("key.pem"));
        self.tls(&format!(", certificate = \"{certificate}\", key = \"{key}\"{more}"))
    }

    /// A server, as a certificate for 127.0.0.1 and `shadow.example` shows it, that makes these demands.
    fn server(&self, demands: &Demands<'_>) -> Recorder {
        let identity = self.authority.identity(&["127.0.0.1", "shadow.example"]);
        let config = identity.demanding_server_config(&["http/1.1"], demands);
        Recorder::builder().tls_config(config).start()
    }
}

fn configured(url: &str, lines: &str) -> Mirror {
    Mirror::configured(&format!("[[target]]\nname = \"shadow\"\nurl = \"{url}\"\n{lines}\n"))
}

/// Sends three copies to `https` on the server with this configuration, and gives what became of them and
/// what was told of the first failure.
fn three(server: &Recorder, lines: &str) -> (String, String) {
    let mirror = configured(&format!("https://{}", server.address()), lines);
    become_of_three(mirror)
}

fn become_of_three(mut mirror: Mirror) -> (String, String) {
    let mut peer = Peer::greeted(mirror.address);
    for number in 0..3 {
        peer.mirror(number, "/");
    }
    mirror.wait_report(|report| report.target().received == 3 && report.target().open() == 0);
    let told = mirror.told("a copy failed").first().cloned().unwrap_or_default();
    drop(peer);
    let tally = mirror.finish();
    let target = tally.target();
    let mut became = Vec::new();
    for (label, count) in target.answered.iter().chain(&target.failed).chain(&target.dropped) {
        became.push(format!("{label} {count}"));
    }
    (became.join(", "), told)
}

#[test]
fn a_target_that_demands_a_client_certificate() {
    let papers = Papers::new();
    for version in [&TLS12, &TLS13] {
        let certificate_of = Some(&papers.authority);
        let demands = Demands { certificate_of, version: Some(version), ..Demands::default() };
        let server = papers.server(&demands);
        let (became, _) = three(&server, &papers.tls_with_client(""));
        assert_eq!(became, "2xx 3", "{version:?}");
        // Without one, or with one of another authority: the target refuses, and the log says so.
        let stranger = Papers::new();
        let foreign = stranger
            .tls_with_client("")
            .replace(&stranger.file("authority.pem"), &papers.file("authority.pem"));
        for (lines, alert) in [(papers.tls(""), "CertificateRequired"), (foreign, "fatal alert")] {
            let server = papers.server(&demands);
            let (became, told) = three(&server, &lines);
            assert_eq!(became, "tls 3", "{version:?}");
            assert!(told.contains(alert), "{version:?}: {told}");
            assert_eq!(server.counts().requests, 0);
        }
    }
}

#[test]
fn a_client_certificate_over_http2() {
    let papers = Papers::new();
    let identity = papers.authority.identity(&["127.0.0.1"]);
    let demands = Demands { certificate_of: Some(&papers.authority), ..Demands::default() };
    for (lines, expected) in [(papers.tls_with_client(""), "2xx 3"), (papers.tls(""), "tls 3")] {
        let config = identity.demanding_server_config(&["h2"], &demands);
        let answer = h2::Behaviour::Respond(200, Vec::new());
        let server = h2::Recorder::start_tls_config(answer, config);
        let mirror = configured(&format!("https://{}", server.address()), &lines);
        let (became, told) = become_of_three(mirror);
        assert_eq!(became, expected, "{told}");
    }
}

#[test]
fn the_oldest_version_of_tls() {
    let papers = Papers::new();
    for (speaks, oldest, expected) in [
        (&TLS12, "1.2", "2xx 3"),
        (&TLS13, "1.2", "2xx 3"),
        (&TLS13, "1.3", "2xx 3"),
        (&TLS12, "1.3", "tls 3"),
    ] {
        let server = papers.server(&Demands { version: Some(speaks), ..Demands::default() });
        let lines = papers.tls(&format!(", min-version = \"{oldest}\""));
        let (became, told) = three(&server, &lines);
        assert_eq!(became, expected, "{speaks:?} {oldest}");
        assert!(expected != "tls 3" || told.contains("ProtocolVersion"), "{told}");
        assert!(expected == "2xx 3" || server.counts().requests == 0);
    }
}

/// The name is asked for (SNI) and verified, whatever the URL says.
#[test]
fn the_name_that_a_target_is_asked_for() {
    let papers = Papers::new();
    let name = Some("shadow.example");
    let server = papers.server(&Demands { name, ..Demands::default() });
    let (became, _) = three(&server, &papers.tls(", server-name = \"shadow.example\""));
    assert_eq!(became, "2xx 3");
    let copies = server.take();
    let host = copies[0].header("host").unwrap();
    assert_ne!(host, "shadow.example", "the copy's Host is another matter");
    // A server that has no certificate for what it is asked for.
    let (became, _) = three(&server, &papers.tls(", server-name = \"other.example\""));
    assert_eq!(became, "tls 3");
    // A server that shows what it has.
    let server = papers.server(&Demands::default());
    let (became, told) = three(&server, &papers.tls(", server-name = \"other.example\""));
    assert_eq!(became, "tls 3");
    assert!(told.contains("not valid for name"), "{told}");
    assert_eq!(server.counts().requests, 0);
}

/// A mistake stops the agent before it listens, and names the file.
#[test]
fn a_certificate_file_that_is_none() {
    let papers = Papers::new();
    let path = papers.directory.path().join("spoa-mirror.toml");
    let swapped = papers.tls_with_client("").replace("certificate.pem", "swapped.pem");
    std::fs::copy(papers.file("key.pem"), papers.file("swapped.pem")).unwrap();
    let url = "https://127.0.0.1:1";
    std::fs::write(&path, format!("[[target]]\nname = \"shadow\"\nurl = \"{url}\"\n{swapped}\n"))
        .unwrap();
    let output = run(&path);
    assert_eq!(output.status.code(), Some(78));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("swapped.pem holds no certificate"), "{told}");
}

fn run(config: &Path) -> std::process::Output {
    let mut program = std::process::Command::new(running::mirror::PROGRAM);
    program.arg("--config").arg(config).output().unwrap()
}

/// Sends copies, one after the other, until `enough`; gives how many.
fn send_until(peer: &mut Peer, mirror: &Mirror, enough: impl Fn() -> bool) -> u64 {
    let mut sent = 0;
    wait::holds(wait::LIMIT, "enough connections", || {
        peer.mirror(sent, "/");
        sent += 1;
        enough()
    });
    mirror.wait_report(|report| report.target().received == sent && report.target().open() == 0);
    sent
}

#[test]
fn connections_that_have_lived_long_enough() {
    let lines = "connections = { lifetime = \"1s\" }";
    let shadow = Recorder::start();
    let mut mirror = configured(&shadow.url(), lines);
    let mut peer = Peer::greeted(mirror.address);
    let sent = send_until(&mut peer, &mirror, || shadow.counts().connections >= 3);
    assert!(sent > shadow.counts().connections, "{sent}");
    wait::holds(wait::LIMIT, "the last one is closed", || shadow.counts().open == 0);
    mirror.finish().target().assert_only(&["2xx"], &[], &[]);
    assert_eq!(shadow.counts().requests, sent);
}

/// What is under way on an HTTP/2 connection comes to its end first.
#[test]
fn http2_connections_that_have_lived_long_enough() {
    let lines = "http = \"2\"\nconnections = { lifetime = \"1s\" }";
    let shadow = h2::Recorder::start(h2::Behaviour::Delay(Duration::from_millis(500)));
    let mut mirror = configured(&format!("http://{}", shadow.address()), lines);
    let mut peer = Peer::greeted(mirror.address);
    let sent = send_until(&mut peer, &mirror, || shadow.connections() >= 3);
    wait::holds(wait::LIMIT, "the last one is closed", || shadow.open() == 0);
    mirror.finish().target().assert_only(&["2xx"], &[], &[]);
    assert_eq!(shadow.requests().len() as u64, sent);
}

#[test]
fn connections_that_are_idle() {
    let one = Recorder::start();
    let two = h2::Recorder::start(h2::Behaviour::Respond(200, Vec::new()));
    let idle = "connections = { idle = \"300ms\" }";
    let mut mirror = Mirror::configured(&format!(
        "[[target]]\nname = \"one\"\nurl = \"{}\"\n{idle}\n\n\
         [[target]]\nname = \"two\"\nurl = \"http://{}\"\nhttp = \"2\"\n{idle}\n",
        one.url(),
        two.address()
    ));
    let mut peer = Peer::greeted(mirror.address);
    for number in 1..=2 {
        peer.mirror(number, "/");
        one.wait_for(usize::try_from(number).unwrap(), wait::LIMIT);
        two.wait_for(usize::try_from(number).unwrap(), wait::LIMIT);
        wait::holds(wait::LIMIT, "both are closed", || one.counts().open + two.open() == 0);
        assert_eq!((one.counts().connections, two.connections()), (number, number));
    }
    let tally = mirror.finish();
    tally.named("one").assert_only(&["2xx"], &[], &[]);
    tally.named("two").assert_only(&["2xx"], &[], &[]);
}
