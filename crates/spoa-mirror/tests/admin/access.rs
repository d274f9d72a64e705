//! Whom the API lets in.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;
use testbed::agent::Agent as Process;
use testbed::wait;

use super::api::{Agent, ask_over, unix};
use super::running::mirror::{Mirror, PROGRAM};

#[test]
fn a_name_made_to_lead_here_is_refused() {
    let agent = Agent::start();
    for host in ["evil.example", "evil.example:9600", "127.0.0.1.nip.example"] {
        for line in ["GET /api/v1/status", "GET /metrics", "POST /api/v1/pause"] {
            let answer = agent.ask_with(line, &[("host", host)], "");
            assert_eq!((answer.status(), answer.error().as_str()), (421, "wrong-host"), "{host}");
        }
    }
    for host in ["localhost:1", "[::1]:2", "10.0.0.1", &agent.admin.to_string()] {
        let answer = agent.ask_with("GET /api/v1/status", &[("host", host)], "");
        assert_eq!(answer.status(), 200, "{host}");
    }
    assert_eq!(agent.standing()["settings"]["paused"], false);
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let agent = Agent::start();
    let own = format!("http://{}", agent.admin);
    let host = agent.admin.to_string();
    let pause = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("host", &*host)]].concat();
        agent.ask_with("POST /api/v1/pause", &headers, "").status()
    };
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"] {
        assert_eq!(pause(&[("origin", origin)]), 403, "{origin}");
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(pause(&[("sec-fetch-site", site)]), 403, "{site}");
    }
    assert_eq!(agent.standing()["settings"]["paused"], false);
    assert_eq!(pause(&[("origin", &own), ("sec-fetch-site", "same-origin")]), 200);
    assert_eq!(agent.standing()["settings"]["paused"], true);
}

#[test]
fn a_form_is_no_way_in() {
    let agent = Agent::start();
    let path = format!("PATCH /api/v1/targets/{}", agent.target());
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let headers = [("content-type", content_type)];
        let answer = agent.ask_with(&path, &headers, r#"{"sample_percent": 0}"#);
        assert_eq!((answer.status(), answer.error().as_str()), (415, "not-json"));
    }
    assert_eq!(agent.standing()["settings"]["sample_percent"], 100.0);
}

#[test]
fn preflights_get_no_permission() {
    let agent = Agent::start();
    let headers = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let answer = agent.ask_with("OPTIONS /api/v1/pause", &headers, "");
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.0.header("access-control-allow-origin"), None);
}

#[test]
fn other_machines_need_a_token() {
    for address in ["0.0.0.0:9600", "[::]:9600", "192.0.2.1:9600", "agent.example:9600"] {
        let refused = Command::new(PROGRAM)
            .args(["-r", "1s", "-a", "127.0.0.1", "--admin", address])
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(64), "{address}");
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(told.contains("--admin") && told.contains("admin.token"), "{told}");
        assert!(told.contains(address), "{told}");
    }
}

#[test]
fn a_unix_socket_is_for_its_owner_and_group() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let address = format!("unix:{}", path.display());
    let mut mirror = Mirror::start(&["-r", "0", "--admin", &address]);
    mirror.wait_told(&format!("admin API at {address}"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    // No browser comes this way: the host does not matter.
    let (status, body) = ask_over(unix(&path), "GET /api/v1/status", &[("host", "anything")]);
    assert_eq!(status, 200, "{body}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["state"], "serving");
    assert!(mirror.process.stop(wait::LIMIT).success());
    assert!(!path.exists(), "the socket's file stayed");
}

#[test]
fn an_address_in_use_is_told() {
    let agent = Agent::start();
    let address = agent.admin.to_string();
    let port = testbed::ports::free().to_string();
    let args = ["-r", "0", "-a", "127.0.0.1", "-p", &port, "--admin", &address];
    let mut second = Process::start(PROGRAM, args);
    assert_eq!(second.wait_exit(wait::LIMIT).code(), Some(1));
    let told = second.stderr().all().join("\n");
    assert!(told.contains(&format!("admin: cannot listen on {address}")), "{told}");
}
