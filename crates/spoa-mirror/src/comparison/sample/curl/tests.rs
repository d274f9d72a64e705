use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command as Process;

use testbed::backend::Recorder;
use testbed::wait;

use super::*;
use crate::comparison::sample::{ShownAnswer, ShownBody};

fn sample(method: &str, url: &str, headers: &[(&str, &str)], lines: &[&str]) -> Sample {
    let owned = |text: &&str| (*text).to_owned();
    let headers = headers.iter().map(|(name, value)| (owned(name), owned(value)));
    let body = ShownBody { lines: lines.iter().map(owned).collect(), note: String::new() };
    let answer =
        ShownAnswer { status: 200, headers: None, body: ShownBody::default(), time_us: None };
    Sample {
        id: 1,
        at_ms: 0,
        target: "staging".to_owned(),
        run: "run 1".to_owned(),
        endpoint: "GET /".to_owned(),
        request: ShownRequest {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: headers.collect(),
            body,
        },
        production: answer.clone(),
        shadow: answer,
        differences: Vec::new(),
        more: 0,
    }
}

/// A folder with a curl that writes down its arguments, each ended by a NUL.
fn stub() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("curl");
    fs::write(&program, "#!/bin/sh\nprintf '%s\\0' \"$@\" > \"$ARGUMENTS\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The arguments that curl gets from a shell.
fn arguments(command: &str, stub: &Path) -> Vec<String> {
    let written = stub.join("arguments");
    let shell = Process::new("/bin/sh")
        .args(["-c", command])
        .env_clear()
        .env("PATH", stub)
        .env("ARGUMENTS", &written)
        .current_dir(stub)
        .output()
        .unwrap();
    assert!(shell.status.success() && shell.stderr.is_empty(), "{shell:?}\n{command}");
    let written = fs::read_to_string(&written).unwrap();
    written.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn a_shell_hands_over_what_is_meant() {
    let stub = stub();
    let hostile = [
        "'; touch x; '",
        "$(touch x) `touch x` ${HOME} \\",
        "-o@/etc/passwd",
        "@/etc/passwd",
        "\"a\" 'b' !! # c",
        "a\nb\r\0\u{1b}[2J\u{202e}",
        "{1..9}[1-9]*?~",
        "",
    ];
    for text in hostile {
        let headers = [("Host", text), ("x-a", text), (text, "b")];
        let sample = sample(text, text, &headers, &[text, text]);
        let arguments = arguments(&sample.curl(), stub.path());
        let shown = one_line(text);
        let has = |pair: [&str; 2]| arguments.windows(2).any(|found| found == pair);
        assert!(has(["--request", &shown]), "{arguments:?}");
        assert!(has(["--data-raw", &format!("{shown}\n{shown}")]), "{arguments:?}");
        let header = if text.is_empty() { "x-a;".to_owned() } else { format!("x-a: {shown}") };
        assert!(has(["--header", &header]), "{arguments:?}");
        assert!(arguments.last().unwrap().starts_with("http://HOST/"), "{arguments:?}");
        let there = fs::read_dir(stub.path()).unwrap().count();
        assert_eq!(there, 2, "something was done but to call curl");
    }
}

#[test]
fn the_command_can_be_read() {
    let sample = sample(
        "POST",
        "/a?token=[hidden 5f3a91]",
        &[("host", "h.example"), ("accept", "*/*"), ("user-agent", "x"), ("content-length", "9")],
        &["{", "  \"a\": \"it's\"", "}"],
    );
    let expected = "\
# What stands as [hidden ...] was not kept: put in your own.
curl --globoff --path-as-is \\
  --request POST \\
  --header 'accept: */*' \\
  --header 'user-agent: x' \\
  --header content-type: \\
  --header expect: \\
  --data-raw '{
  \"a\": \"it'\\''s\"
}' \\
  'http://h.example/a?token=[hidden%205f3a91]'
";
    assert_eq!(sample.curl(), expected);
}

#[test]
fn what_is_not_as_it_was_sent_is_said() {
    let mut head =
        sample("HEAD", "*", &[("content-encoding", "gzip"), ("\u{2026}", "more")], &["a"]);
    head.request.body.note = "only the first 1 of 9 bytes are known".to_owned();
    let text = head.curl();
    for said in ["# The body: only the first 1", "is left out", "Put a host", "Not all headers"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.contains("--head \\") && text.contains("--request-target '*'"), "{text}");
    assert!(!text.contains("--data-raw"), "{text}");
}

/// With the real program: what arrives is what was shown.
#[test]
fn curl_sends_what_was_shown() {
    let recorder = Recorder::start();
    let host = recorder.address().to_string();
    let headers = |more: &[(&'static str, &'static str)]| {
        let mut headers = vec![("host".to_owned(), host.clone())];
        headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        headers
    };
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (method, url, sent, lines, body) in [
        (
            "GET",
            "/a/../b//c?x=[1]{2}&y=%20",
            &[("x-empty", ""), ("accept", "a/b")][..],
            &[][..],
            "",
        ),
        (
            "POST",
            "/x",
            &[("content-type", "text/plain"), ("x-quote", "it's \"$HOME\"")],
            &["@a", "'b'", ""],
            "@a\n'b'\n",
        ),
        ("PUT", "/form", &[form], &["a=1", "b=x+y%26"], "a=1&b=x+y%26"),
        ("DELETE", "/\u{e4}?a|b#c", &[], &[], ""),
        ("OPTIONS", "*", &[], &[], ""),
        ("HEAD", "/head", &[], &[], ""),
    ] {
        let mut sample = sample(method, url, &[], lines);
        sample.request.headers = headers(sent);
        let shell = Process::new("/bin/sh")
            .args(["-c", &sample.curl()])
            .env("HOME", "/nonexistent")
            .env_remove("http_proxy")
            .output()
            .unwrap();
        assert!(shell.status.success(), "{shell:?}\n{}", sample.curl());
        recorder.wait_for(1, wait::LIMIT);
        let request = recorder.take().remove(0);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let line = (text(request.method()), text(request.target()));
        assert_eq!(line, (method.to_owned(), url.to_owned()));
        assert_eq!(text(&request.body), body);
        let arrived = request.headers();
        let arrived = arrived.iter().map(|(name, value)| (text(name).to_lowercase(), text(value)));
        let mut arrived: Vec<_> = arrived.collect();
        arrived.retain(|(name, _)| name != "content-length");
        let mut expected = sample.request.headers.clone();
        arrived.sort();
        expected.sort();
        assert_eq!(arrived, expected);
    }
}
