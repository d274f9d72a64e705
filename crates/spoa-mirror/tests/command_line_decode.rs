//! `spoa-mirror decode`: recorded SPOP streams as text that a person can read.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_spoa-mirror");

/// A recorded stream of spop-proto's.
fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spop-proto/tests/data/captures").join(name)
}

fn decode_file(path: &Path) -> Output {
    Command::new(PROGRAM).arg("decode").arg(path).output().unwrap()
}

/// Decodes what it reads from standard input.
fn decode(input: &[u8]) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(["decode", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// The text, of a stream that could be decoded to its end.
fn text(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{text}");
    text
}

/// What stopped it, with exit code 1; the text before that is there.
fn problem(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let said = said.strip_prefix("error: ").unwrap_or_else(|| panic!("{said:?}"));
    said.trim_end().to_owned()
}

const HEALTH_CHECK: &str = "\
frame 1 at byte 0: HAPROXY-HELLO stream 0 frame 0 flags FIN payload 71 bytes
  supported-versions = string \"2.0\"
  max-frame-size = uint32 16380
  capabilities = string \"\"
  healthcheck = bool true
";

#[test]
fn a_recorded_handshake() {
    let check = capture("3.4-healthcheck/conn-02/haproxy-to-agent.bin");
    assert_eq!(text(&decode_file(&check)), HEALTH_CHECK);
    let answer = text(&decode_file(&capture("3.4-healthcheck/conn-02/agent-to-haproxy.bin")));
    assert_eq!(
        answer,
        "frame 1 at byte 0: AGENT-HELLO stream 0 frame 0 flags FIN payload 47 bytes\n  \
         version = string \"2.0\"\n  max-frame-size = uint32 16380\n  capabilities = string \"\"\n"
    );
}

#[test]
fn a_recorded_request() {
    let text = text(&decode_file(&capture("2.6-basic/conn-02/haproxy-to-agent.bin")));
    let message = "\
frame 3 at byte 286: NOTIFY stream 2 frame 1 flags FIN payload 167 bytes
  message \"mirror\", 5 arguments
    arg_method = string \"GET\"
    arg_path = string \"/get2\"
    arg_ver = string \"1.1\"
    arg_hdrs = binary, 7 headers
      host: \"127.0.0.1:23000\"
      user-agent: \"curl/7.88.1\"
      accept: \"*/*\"
      x-a: \"1\"
      x-a: \"2\"
      x-empty: \"\"
      x-bin: \"caf\\xc3\\xa9 \\xff\"
    arg_body = binary \"\"
";
    assert!(text.contains(message), "{text}");
}

#[test]
fn recorded_fragments_are_put_together() {
    let stream = capture("2.6-frag1k-pipe-null/conn-02/haproxy-to-agent.bin");
    let text = text(&decode_file(&stream));
    let expected = "\
frame 3 at byte 442: NOTIFY stream 2 frame 1 flags none payload 992 bytes
  the first fragment
frame 4 at byte 1445: UNSET stream 2 frame 1 flags none payload 992 bytes
  fragment 2, 1984 bytes so far
frame 5 at byte 2448: UNSET stream 2 frame 1 flags FIN payload 218 bytes
  the last of 3 fragments, 2202 bytes in all
  message \"mirror\", 5 arguments
    arg_method = string \"POST\"
    arg_path = string \"/f2000\"
";
    assert!(text.contains(expected), "{text}");
}

/// Every stream there is, each to its end; all but those that broke off when they were recorded.
#[test]
fn every_recorded_stream_is_readable() {
    let mut streams = 0;
    let mut directories = vec![capture("")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "bin") {
                streams += 1;
                let output = decode_file(&path);
                if !output.status.success() {
                    let said = problem(&output);
                    assert!(said.contains("the input ends after"), "{}: {said}", path.display());
                }
                assert!(output.stdout.is_ascii(), "{}", path.display());
            }
        }
    }
    assert!(streams > 50, "{streams}");
}

#[test]
fn hex_is_read_as_well_as_bytes() {
    let bytes = fs::read(capture("3.4-healthcheck/conn-02/haproxy-to-agent.bin")).unwrap();
    let spaced = |separator: &str| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}{separator}").unwrap();
            text
        })
    };
    let mut lines = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        write!(lines, "{byte:02X}{}", if index % 16 == 15 { "\n" } else { " " }).unwrap();
    }
    for input in [spaced(""), spaced(" "), spaced(":"), spaced(", 0x"), lines] {
        // `0x` before each byte: the last one has none after it.
        let input = match input.strip_suffix("0x") {
            Some(rest) => format!("0x{rest}"),
            None => input,
        };
        assert_eq!(text(&decode(input.as_bytes())), HEALTH_CHECK, "{input}");
    }
    assert_eq!(text(&decode(&bytes)), HEALTH_CHECK);
}

#[test]
fn long_values_are_shortened_as_asked() {
    let path = capture("2.6-basic/conn-02/haproxy-to-agent.bin");
    let output = Command::new(PROGRAM).args(["decode", "--width", "4"]).arg(path).output().unwrap();
    let text = text(&output);
    assert!(text.contains("arg_path = string \"/get\" and 11 bytes more"), "{text}");
}

#[test]
fn garbage_is_told_with_its_place() {
    let path = capture("3.4-healthcheck/conn-02/haproxy-to-agent.bin");
    let good = fs::read(path).unwrap();
    let with = |bytes: &[u8]| [good.as_slice(), bytes].concat();
    let cases: [(Vec<u8>, &str); 6] = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "frame 1 at byte 0: a frame of 1195725860 bytes"),
        (good[..50].to_vec(), "frame 1 at byte 0: the input ends after 50 bytes of 82"),
        (with(&[0, 0]), "frame 2 at byte 82: the input ends after 2 bytes"),
        (with(&[0, 0, 0, 0]), "frame 2 at byte 82: frame header, offset 0: frame shorter"),
        (
            with(&[0, 0, 0, 9, 3, 0, 0, 0, 1, 1, 1, 200, 7]),
            "frame 2 at byte 82: NOTIFY frame, offset 12: a field reaches past the end",
        ),
        (
            with(&[0, 0, 0, 13, 3, 0, 0, 0, 1, 1, 1, 1, b'm', 1, 1, b'a', 15]),
            "frame 2 at byte 82: NOTIFY frame, offset 16: value type 15 does not exist",
        ),
    ];
    for (bytes, expected) in cases {
        let output = decode(&bytes);
        let said = problem(&output);
        assert!(said.starts_with(expected), "{said:?} does not begin with {expected:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.starts_with(HEALTH_CHECK), bytes.starts_with(&good), "{text}");
    }
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let said = problem(&decode_file(Path::new("/no/such/file")));
    assert!(said.contains("/no/such/file") && said.contains("No such file"), "{said}");
}

/// `spoa-mirror decode FILE | head -1`
#[test]
fn a_reader_that_has_seen_enough_is_no_problem() {
    // Much more text than a pipe holds.
    let one = fs::read(capture("2.6-basic/conn-02/haproxy-to-agent.bin")).unwrap();
    let many = one.repeat(200);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &many).unwrap();
    let mut child = Command::new(PROGRAM)
        .arg("decode")
        .arg(file.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    {
        let mut reader = BufReader::with_capacity(64, child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        // The pipe is closed here.
    }
    assert!(line.starts_with("frame 1 at byte 0: HAPROXY-HELLO"), "{line}");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
