//! The command line as a user meets it: the C program's flags, wrong values, help, notes.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::fs;
use std::net::IpAddr;
use std::process::{Command, Output};

use testbed::agent::Agent;
use testbed::backend::Recorder;
use testbed::{ports, wait};

use running::mirror::{Mirror, PROGRAM};
use running::spop::Peer;

/// Runs the program, which is to end by itself.
fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Starts an agent with these arguments, of which `LOG`, `PID`, `PORT` and `URL` stand for the real ones,
/// and has it copy a request.
fn assert_works(line: &str) {
    let directory = tempfile::tempdir().unwrap();
    let (log, pidfile) = (directory.path().join("log"), directory.path().join("pid"));
    let shadow = Recorder::start();
    let (address, outgoing) = (ports::free_addr(), ports::free());
    let line = line
        .replace("LOG", log.to_str().unwrap())
        .replace("PID", pidfile.to_str().unwrap())
        .replace("PORT", &address.port().to_string())
        .replace("RANGE", &format!("{outgoing}-{outgoing}"))
        .replace("URL", &shadow.url());
    let mut agent = Agent::start(PROGRAM, line.split_whitespace());
    let listens = || fs::read_to_string(&log).is_ok_and(|text| text.contains("listening on"));
    wait::holds(wait::LIMIT, "it listens", || listens() || !agent.is_running());
    let mut peer = Peer::greeted(address);
    peer.mirror(1, "/copied");
    assert_eq!(shadow.wait_for(1, wait::LIMIT)[0].target(), b"/copied");
    assert_eq!(fs::read_to_string(&pidfile).unwrap(), format!("{}\n", agent.pid()));
    assert_eq!(agent.stop(wait::LIMIT).code(), Some(0));
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("/copied HTTP/1.1\" 200 "), "{text}");
    // What has no effect here is said, and nothing else is worth a warning.
    let notes: Vec<_> = text.lines().filter(|line| line.contains("WARN")).collect();
    for flag in ["--libev-backend", "--debug", "--capability async"] {
        assert!(notes.iter().any(|note| note.contains(flag)), "{flag}: {notes:?}");
    }
    assert_eq!(notes.len(), 3, "{notes:?}");
}

#[test]
fn every_long_flag_of_the_c_program_is_accepted() {
    assert_works(
        "--address 127.0.0.1 --libev-backend EPOLL --connection-backlog 10 \
         --capability fragmentation --capability pipelining --capability async --debug 7 \
         --pidfile PID --monitor-interval 5s --logfile W:LOG --max-frame-size 16384 \
         --num-workers 10 --port PORT --runtime 1h --processing-delay 0 --mirror-url URL \
         --mirror-interface lo --mirror-local-port RANGE",
    );
}

#[test]
fn every_short_flag_of_the_c_program_is_accepted() {
    assert_works(
        "-a 127.0.0.1 -B EPOLL -b 10 -c fragmentation -c pipelining -c async -d 7 -F PID -i 5s \
         -l W:LOG -m 16384 -n 10 -p PORT -r 1h -t 0 -u URL -I 127.0.0.1 -P RANGE",
    );
}

#[test]
fn flags_may_be_glued_to_their_values_and_the_last_of_two_counts() {
    assert_works(
        "-a127.0.0.1 -B1 -casync -d0x1 -FPID -la:/dev/null -lA:LOG -p1 -pPORT -r1 -uURL --debug=7 \
         --runtime=0",
    );
}

#[test]
fn a_delay_that_is_asked_for_is_said_to_have_no_effect() {
    let mut mirror = Mirror::start(&["-u", "http://127.0.0.1:9", "--processing-delay", "5ms"]);
    mirror.wait_told("--processing-delay has no effect");
    mirror.finish();
}

#[test]
fn an_agent_without_a_mirror_url_says_so() {
    let mut mirror = Mirror::start(&[]);
    mirror.wait_told("without --mirror-url requests are acknowledged and nothing is copied");
    Peer::greeted(mirror.address).mirror(1, "/");
    assert_eq!(mirror.finish().spop.requests, 1);
}

#[test]
fn a_wrong_value_is_told_with_its_flag_and_what_is_allowed() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["-p", "0"], &["--port", "1..=65535"]),
        (&["-p", "70000"], &["--port", "1..=65535"]),
        (&["-b", "0"], &["--connection-backlog", "1..=65535"]),
        (&["-n", "0"], &["--num-workers", "1..=1000"]),
        (&["-n", "1001"], &["--num-workers", "1..=1000"]),
        (&["-i", "10ms"], &["--monitor-interval", "10ms", "1s to 1h"]),
        (&["-i", "2h"], &["--monitor-interval", "1s to 1h"]),
        (&["-t", "2s"], &["--processing-delay", "0 to 1s"]),
        (&["-m", "255"], &["--max-frame-size", "256 to 16M"]),
        (&["-m", "17M"], &["--max-frame-size", "256 to 16M"]),
        (&["-m", "x"], &["--max-frame-size", "k, M, G"]),
        (&["-r", "5y"], &["--runtime", "us, ms, s, m, h, d"]),
        (&["-r", "soon"], &["--runtime", "us, ms, s, m, h, d"]),
        (&["-c", "gzip"], &["--capability", "fragmentation, pipelining, async"]),
        (&["-u", "ftp://x"], &["--mirror-url", "ftp", "neither http nor https"]),
        (&["-u", "http://x:0"], &["--mirror-url", "1 to 65535"]),
        (&["-P", "9-1"], &["--mirror-local-port", "FIRST-LAST", "1 to 65535"]),
        (&["-l", "x:y"], &["--logfile", "one of a, w, A, W"]),
        (&["-l", "a:"], &["--logfile", "file name is missing"]),
        (&["-L", "loud"], &["--access-log", "ALL, ERROR, SUCCESS, NONE"]),
        (&["-a", "unix:"], &["--address", "missing"]),
        (&["-a", ""], &["--address", "empty"]),
        (&["--log-format", "xml"], &["--log-format", "text, json"]),
        (&["--log-level", "loud"], &["--log-level", "error, warn, info, debug"]),
        (&["--mirror-http", "3"], &["--mirror-http", "auto, 1.1, 2"]),
        (&["--truncated-body", "pad"], &["--truncated-body", "skip, send"]),
        (&["--marker-header", "a b"], &["--marker-header", "a b"]),
        (&["--max-hops", "0"], &["--max-hops", "1.."]),
        (&["--max-in-flight", "0"], &["--max-in-flight", "1..=1000000"]),
        (&["--max-queue", "0"], &["--max-queue", "1..=10000000"]),
        (&["--timeout", "0"], &["--timeout", "1ms to 1d"]),
        (&["--connect-timeout", "2h"], &["--connect-timeout", "1ms to 1h"]),
        (&["--max-queue-age", "0"], &["--max-queue-age", "1ms to 1h"]),
        (&["--grace", "2h"], &["--grace", "0 to 1h"]),
        (&["-p"], &["--port", "value is required"]),
        (&["--mirror-urls", "http://x"], &["--mirror-urls", "--mirror-url"]),
        (&["somewhere"], &["somewhere"]),
        (&["decode"], &["FILE"]),
        (&["generate", "completions", "cmd"], &["SHELL", "bash", "fish", "zsh"]),
    ];
    for (args, parts) in cases {
        let output = run(args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {said}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(said.starts_with("error: "), "{args:?}: {said}");
        assert!(said.contains("--help"), "{args:?}: {said}");
        for part in *parts {
            assert!(said.contains(part), "{args:?}: {part:?} is not in {said:?}");
        }
    }
}

#[test]
fn help_is_grouped_and_has_examples() {
    for flag in ["--help", "-h"] {
        let output = run(&[flag]);
        let help = stdout(&output);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
        let headings = [
            "HAProxy's side:",
            "Copies:",
            "Limits:",
            "Process:",
            "Logs:",
            "Examples:",
            "Exit codes:",
        ];
        let mut rest = help.as_str();
        for heading in headings {
            let at = rest.find(heading);
            rest = &rest[at.unwrap_or_else(|| panic!("{flag}: no {heading:?} in {help}"))..];
        }
        assert!(rest.contains("64 wrong command line"), "{rest}");
        assert!(help.contains("spoa-mirror -r 0 -u http://staging:8080"), "{flag}");
        for command in ["demo", "decode", "generate"] {
            assert!(help.contains(&format!("  {command} ")), "{flag}: {command}");
        }
    }
}

/// The flags of the C program, each with its letter.
#[test]
fn help_names_every_flag_of_the_c_program() {
    let help = stdout(&run(&["--help"]));
    for flags in [
        "-a, --address",
        "-B, --libev-backend",
        "-b, --connection-backlog",
        "-c, --capability",
        "-D, --daemonize",
        "-d, --debug",
        "-F, --pidfile",
        "-h, --help",
        "-i, --monitor-interval",
        "-l, --logfile",
        "-m, --max-frame-size",
        "-n, --num-workers",
        "-p, --port",
        "-r, --runtime",
        "-t, --processing-delay",
        "-u, --mirror-url",
        "-I, --mirror-interface",
        "-P, --mirror-local-port",
        "-V, --version",
    ] {
        assert!(help.contains(flags), "{flags}");
    }
}

#[test]
fn the_version_is_told() {
    for flag in ["--version", "-V"] {
        let output = run(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stdout(&output), format!("spoa-mirror {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_stops_the_start() {
    let output = run(&["-l", "/proc/none/log"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("error: ") && said.contains("/proc/none/log"), "{said}");
}

#[test]
fn an_address_of_nobody_stops_the_start() {
    // 192.0.2.0/24 is nobody's (RFC 5737).
    let port = ports::free().to_string();
    let output = run(&["-a", "192.0.2.1", "-p", &port, "-u", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("error: cannot listen on 192.0.2.1:"), "{said}");
}

#[test]
fn several_addresses_are_all_listened_on() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listen = format!("unix:{}", socket.display());
    let mut mirror = Mirror::start(&["-a", "::1", "-a", "127.0.0.2", "-a", &listen]);
    mirror.wait_told(&format!("listening on {listen}"));
    for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        Peer::greeted((ip, mirror.address.port()).into()).mirror(1, "/");
    }
    Peer::greeted_unix(&socket).mirror(1, "/");
    assert_eq!(mirror.finish().spop.requests, 4);
}

#[test]
fn man_pages_of_the_program_and_of_every_command_are_generated() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("new/man1");
    let output = run(&["generate", "man", "--output", pages.to_str().unwrap()]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let program = fs::read_to_string(pages.join("spoa-mirror.1")).unwrap();
    assert_eq!(stdout(&run(&["generate", "man"])), program);
    for (section, text) in [
        ("NAME", "spoa\\-mirror \\- mirrors HAProxy"),
        ("OPTIONS", "\\fB\\-u\\fR, \\fB\\-\\-mirror\\-url\\fR \\fIURL\\fR"),
        ("EXAMPLES", "\\fBspoa\\-mirror \\-r 0 \\-u http://staging:8080\\fR"),
        ("\"EXIT STATUS\"", "64 wrong command line"),
    ] {
        let section = program.split(".SH ").find(|part| part.starts_with(section));
        assert!(section.is_some_and(|part| part.contains(text)), "{text}: {section:?}");
    }
    // Whoever reads a page sees the pages of the other commands.
    let commands = program.split(".SH COMMANDS").nth(1).unwrap().split(".SH").next().unwrap();
    let listed: Vec<_> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("\\fBspoa\\-mirror\\-")?.split("\\fR").next())
        .collect();
    assert!(listed.contains(&"decode") && listed.contains(&"demo"), "{listed:?}");
    for command in &listed {
        let page = fs::read_to_string(pages.join(format!("spoa-mirror-{command}.1"))).unwrap();
        assert!(page.contains(&format!("\\fBspoa\\-mirror {command}\\fR")), "{command}: {page}");
    }
    assert_eq!(fs::read_dir(&pages).unwrap().count(), listed.len() + 1);
}

#[test]
fn the_day_on_a_man_page_can_be_given() {
    let mut command = Command::new(PROGRAM);
    let output = command.args(["generate", "man"]).env("SOURCE_DATE_EPOCH", "951782400").output();
    let page = stdout(&output.unwrap());
    assert!(page.contains(".TH SPOA-MIRROR 1 2000-02-29 "), "{page}");
}

#[test]
fn man_pages_that_cannot_be_written_are_an_error() {
    for directory in ["/proc/none/man", "/proc"] {
        let output = run(&["generate", "man", "-o", directory]);
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.starts_with("error: cannot ") && said.contains(directory), "{said}");
    }
}

#[test]
fn completions_know_commands_and_flags() {
    for (shell, start) in [
        ("bash", "_spoa__mirror() {"),
        ("zsh", "#compdef spoa-mirror"),
        ("fish", "complete -c spoa-mirror"),
    ] {
        let output = run(&["generate", "completions", shell]);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
        let script = stdout(&output);
        assert!(script.contains(start), "{shell}: {script}");
        for word in ["mirror-url", "decode", "daemonize"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// What bash offers for a line, its last word unfinished.
fn bash_offers(line: &[&str]) -> String {
    let script = stdout(&run(&["generate", "completions", "bash"]));
    let words: Vec<_> = line.iter().map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _spoa__mirror spoa-mirror '{}' '{}'; \
         echo \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        line.len() - 1,
        line.last().unwrap(),
        line[line.len() - 2],
    );
    stdout(&Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap())
}

#[test]
fn bash_completes_commands_flags_and_values() {
    assert_eq!(bash_offers(&["spoa-mirror", "dec"]), "decode\n");
    assert_eq!(bash_offers(&["spoa-mirror", "--mirror-u"]), "--mirror-url\n");
    assert_eq!(bash_offers(&["spoa-mirror", "--truncated-body", "sk"]), "skip\n");
}
