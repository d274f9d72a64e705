//! The command: what it prints, its exit codes, the pages.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use testbed::haproxy::Version;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_spoa-mirror");

/// A fixture's text.
macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!("fixtures/", $path))
    };
}

/// Nothing is wrong with these.
const GOOD: &str = fixture!("no-mirror-filter/good/haproxy.cfg");
const CONF: &str = fixture!("no-mirror-filter/good/mirror.conf");

fn doctor(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("doctor").args(arguments).current_dir(directory).env_remove("NO_COLOR");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A directory with these files.
fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn json(directory: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = doctor(directory, &[arguments, &["--json"]].concat());
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), told)
}

#[test]
fn help_tells_how_it_is_used() {
    let output = doctor(Path::new("."), &["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for part in [
        "Examples:",
        "Exit codes: 0",
        "64",
        "--haproxy-version",
        "--explain",
        "--json",
        "docs/DOCTOR.md",
    ] {
        assert!(help.contains(part), "{part} is missing:\n{help}");
    }
}

#[test]
fn the_exit_code_tells_how_bad_it_is() {
    let long = format!("# {}\n{GOOD}", "x".repeat(70_000));
    let variable = fixture!("variable-unset/bad/mirror.conf");
    let cases = [
        (0, GOOD, CONF, "nothing is wrong"),
        (0, GOOD, variable, "nothing is wrong, 1 hint"),
        (1, &long, CONF, "1 warning"),
        (2, "defaults\n", CONF, "1 error"),
    ];
    for (code, config, conf, said) in cases {
        let directory = files(&[("haproxy.cfg", config), ("mirror.conf", conf)]);
        let output =
            doctor(directory.path(), &["--haproxy", "haproxy.cfg", "--haproxy-version", "3.2"]);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(shown.contains(&format!(": {said}\n")), "{shown}");
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn a_wrong_command_line_is_told() {
    let here = Path::new(".");
    for (arguments, said) in [
        (&["--haproxy", "nowhere.cfg"][..], "nowhere.cfg cannot be read: No such file"),
        (&["--haproxy", "/etc", "--haproxy", "/proc/self/mem"], "/proc/self/mem cannot be read"),
        (&["--haproxy-version", "three"], "a version is written like 3.2"),
        (&["--haproxy-binary", "nowhere"], "nowhere -v: "),
        (&["--haproxy-binary", "/bin/true"], "/bin/true -v does not say which version"),
        (&["--explain", "no-miror-filter"], "perhaps no-mirror-filter"),
        (&["--explain", "zzz"], "--explain list"),
        (&["--explain", "list", "--json"], "cannot be used with"),
        (&["--in-place"], "--fix"),
        (&["--haproxy", "/dev/null", "--fix", "--json"], "cannot both be printed"),
        (&["--whatever"], "--whatever"),
    ] {
        let output = doctor(here, arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(said), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty());
    }
    let directory = files(&[
        ("haproxy.cfg", GOOD),
        ("mirror.conf", CONF),
        ("agent.toml", "[agent]\nlisten = 1\n"),
    ]);
    let arguments = ["--haproxy", "haproxy.cfg", "--config", "agent.toml"];
    let output = doctor(directory.path(), &arguments);
    assert_eq!(output.status.code(), Some(64));
    let error = text(&output.stderr);
    assert!(
        error.contains("spoa-mirror check --config agent.toml") && error.contains("agent.toml:2:"),
        "{error}"
    );
}

/// Without the line that says how long a client waits for a hung agent: a machine can mend that.
fn unlimited() -> TempDir {
    let conf = CONF.replace("    timeout processing 20ms\n", "");
    files(&[("haproxy.cfg", GOOD), ("mirror.conf", &conf)])
}

/// All of what a person sees.
#[test]
fn findings_are_shown_with_their_line_and_what_to_write_instead() {
    let directory = unlimited();
    let config = GOOD.replace("timeout client 30s", "timeout client \"30s");
    fs::write(directory.path().join("haproxy.cfg"), config).unwrap();
    let arguments = ["--haproxy", "haproxy.cfg", "--haproxy-version", "3.2.1"];
    let output = doctor(directory.path(), &arguments);
    let shown = text(&output.stdout);
    let expected = include_str!("shown.txt");
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn json_names_places_and_changes() {
    let directory = unlimited();
    let arguments = ["--haproxy", "haproxy.cfg", "--haproxy-version", "3.2"];
    let (code, told) = json(directory.path(), &arguments);
    assert_eq!(code, 2);
    assert_eq!(told["files"], serde_json::json!(["haproxy.cfg", "mirror.conf"]));
    assert_eq!(told["version"], "3.2");
    assert_eq!(told["version_from"], "--haproxy-version");
    let finding = &told["findings"][0];
    assert_eq!(finding["code"], "processing-timeout-missing");
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["file"], "mirror.conf");
    let statement = "spoe-agent mirror";
    let line = CONF.lines().position(|line| line == statement).unwrap();
    assert_eq!(finding["line"], line + 1);
    assert_eq!(finding["column"], 1);
    assert_eq!(finding["end_column"], 1 + statement.len());
    assert!(finding["consequence"].as_str().unwrap().contains("for ever"));
    assert!(finding["mend"]["say"].as_str().unwrap().contains("timeout processing"));
    let edit = &finding["mend"]["edits"][0];
    let last = CONF.lines().position(|line| line.contains("timeout idle")).unwrap();
    assert_eq!(edit["file"], "mirror.conf");
    assert_eq!(edit["line"], last + 1);
    assert_eq!(edit["append"], serde_json::json!(["    timeout processing 20ms"]));
    assert_eq!(edit["covered"], false);
    assert_eq!(told["summary"], serde_json::json!({"errors": 1, "warnings": 0, "hints": 0}));
}

#[test]
fn a_patch_is_printed_and_can_be_applied() {
    let directory = unlimited();
    let conf = directory.path().join("mirror.conf");
    let before = fs::read(&conf).unwrap();
    let output =
        doctor(directory.path(), &["--haproxy=haproxy.cfg", "--haproxy-version=3.2", "--fix"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).starts_with("--- mirror.conf\n"), "{}", text(&output.stdout));
    let said = text(&output.stderr);
    assert!(
        said.contains("error[processing-timeout-missing]") && said.contains("with patch -p0"),
        "{said}"
    );
    assert_eq!(fs::read(&conf).unwrap(), before);
    // In a file it is the same.
    let arguments = ["--haproxy=haproxy.cfg", "--haproxy-version=3.2", "--fix", "mend.patch"];
    let in_file = doctor(directory.path(), &arguments);
    assert!(text(&in_file.stdout).starts_with("error[processing-timeout-missing]"));
    assert!(text(&in_file.stderr).contains("patch -p0 < mend.patch"));
    let patch = fs::read(directory.path().join("mend.patch")).unwrap();
    assert_eq!(patch, output.stdout);
    let applied = Command::new("patch")
        .args(["-p0", "-i", "mend.patch"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(applied.status.success(), "{}", text(&applied.stdout));
    assert_eq!(
        doctor(directory.path(), &["--haproxy=haproxy.cfg", "--haproxy-version=3.2"]).status.code(),
        Some(0)
    );
}

#[test]
fn files_are_only_written_when_that_is_said() {
    let directory = unlimited();
    let before = fs::read(directory.path().join("mirror.conf")).unwrap();
    let refused = doctor(
        directory.path(),
        &["--haproxy=haproxy.cfg", "--haproxy-version=3.2", "--fix", "mirror.conf"],
    );
    assert_eq!(refused.status.code(), Some(64));
    assert!(text(&refused.stderr).contains("would be overwritten by the patch"));
    assert_eq!(fs::read(directory.path().join("mirror.conf")).unwrap(), before);
    let output = doctor(
        directory.path(),
        &["--haproxy=haproxy.cfg", "--haproxy-version=3.2", "--fix", "--in-place"],
    );
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "mirror.conf is mended, what it was is mirror.conf.bak\n");
    assert_eq!(fs::read(directory.path().join("mirror.conf.bak")).unwrap(), before);
    let again = doctor(
        directory.path(),
        &["--haproxy=haproxy.cfg", "--haproxy-version=3.2", "--fix", "--in-place"],
    );
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(text(&again.stderr), "there is nothing that a patch can mend\n");
}

#[test]
fn what_hints_are_about_is_mended_only_when_that_is_said() {
    let config =
        GOOD.replace("    option http-buffer", "    option forwardfor\n    option http-buffer");
    let directory = files(&[("haproxy.cfg", &config), ("mirror.conf", CONF)]);
    let arguments = ["--haproxy", "haproxy.cfg", "--fix"];
    let output = doctor(directory.path(), &arguments);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]));
    let shown = text(&output.stderr);
    assert!(shown.contains("hint[headers-added-later]"), "{shown}");
    let output = doctor(directory.path(), &[&arguments[..], &["--hints"]].concat());
    assert!(text(&output.stdout).contains("+++ mirror.conf"));
}

#[test]
fn secrets_are_not_shown() {
    // Each line has a mistake, so that it is shown.
    let secrets = "\
global
    setenv MIRROR_SUFFIX hunter1
userlist people
    user anna insecure-password hunter2 \"
listen stats
    stats auth admin:hunter3 \"
    http-request set-header Authorization \"Basic hunter4
    http-request set-header X-Token \"${MIRROR_SUFFIX}\" \"
";
    let config = format!("{secrets}{GOOD}");
    let directory = files(&[("haproxy.cfg", &config), ("mirror.conf", CONF)]);
    let plain = doctor(directory.path(), &["--haproxy", "haproxy.cfg"]);
    let json = doctor(directory.path(), &["--haproxy", "haproxy.cfg", "--json"]);
    let shown = text(&plain.stdout);
    for part in [
        "insecure-password ***",
        "stats auth admin:***",
        "Authorization ***",
        "\"${MIRROR_SUFFIX}\"",
    ] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    for output in [plain, json] {
        assert_eq!(output.status.code(), Some(2));
        let shown = text(&output.stdout);
        assert!(!shown.contains("hunter"), "{shown}");
    }
}

/// Whatever is wrong with what variables bring in, they are shown by their names.
#[test]
fn values_of_variables_are_not_shown() {
    let engine = GOOD.replace("engine mirror config", "engine \"${A}\" config");
    let server = GOOD.replace("127.0.0.1:12345 check", "127.0.0.1:12345 \"${A}\"");
    let words = |from: &str, to: &str| CONF.replace(from, to);
    let cases = [
        (engine.as_str(), CONF.to_owned()),
        (server.as_str(), CONF.to_owned()),
        (GOOD, words("messages mirror", "messages \"${A}\" mirror")),
        (GOOD, words("messages mirror", "messages mirror\n    groups \"${A}\"")),
        (GOOD, words("use-backend mirroragents", "use-backend \"${A}\"")),
        (GOOD, words("spoe-agent mirror", "spoe-agent \"${A}\"")),
        (GOOD, words("spoe-message mirror", "spoe-message \"${A}\"")),
        (GOOD, words("var-prefix mirror", "var-prefix \"${A}\"")),
        (GOOD, words("processing 20ms", "processing \"${A}\"")),
        (GOOD, words("idle 30s", "idle \"${A}\"")),
        (GOOD, words("arg_method=", "\"${A}\"=")),
        (GOOD, words("=url", "=\"${A}\"")),
        (GOOD, words("event on-frontend-http-request", "event \"${A}\"")),
        (
            GOOD,
            words("http-request\n", "http-request if { path_beg \"${A}\" } { rand(100) lt 0 }\n"),
        ),
    ];
    for (config, conf) in cases {
        let directory = files(&[("haproxy.cfg", config), ("mirror.conf", &conf)]);
        for form in ["--json", "--haproxy-version=2.6"] {
            let output = Command::new(PROGRAM)
                .args(["doctor", "--haproxy", "haproxy.cfg", form])
                .env("A", "hunter-2")
                .current_dir(directory.path())
                .output()
                .unwrap();
            let shown = text(&output.stdout);
            assert!(!shown.is_empty() && !shown.contains("hunter"), "{config}{conf}{shown}");
        }
    }
}

#[test]
fn directories_are_read_as_haproxy_reads_them() {
    let (defaults, rest) = GOOD.split_once("frontend").unwrap();
    let directory = files(&[
        ("conf/10-defaults.cfg", defaults),
        ("conf/20-rest.cfg", &format!("frontend{rest}")),
        ("conf/mirror.conf", CONF),
        ("conf/.hidden.cfg", "\"\n"),
        ("conf/notes.txt", "\"\n"),
        ("conf/further.cfg/more.cfg", "\"\n"),
    ]);
    let (code, told) = json(directory.path(), &["--haproxy", "conf"]);
    assert_eq!(
        told["files"],
        serde_json::json!(["conf/10-defaults.cfg", "conf/20-rest.cfg", "conf/mirror.conf"])
    );
    assert_eq!((code, &told["findings"]), (0, &serde_json::json!([])));
    // In this order nothing is inherited, and HAProxy has mode tcp.
    let files = ["--haproxy", "conf/20-rest.cfg", "--haproxy", "conf/10-defaults.cfg"];
    let (_, told) = json(directory.path(), &files);
    assert_eq!(told["files"][0], "conf/20-rest.cfg");
}

#[test]
fn the_version_is_that_of_the_executable_that_is_named() {
    let directory = files(&[("haproxy.cfg", GOOD), ("mirror.conf", CONF)]);
    for version in Version::ALL {
        let binary = version.executable();
        let binary = binary.to_str().unwrap();
        let (_, told) =
            json(directory.path(), &["--haproxy", "haproxy.cfg", "--haproxy-binary", binary]);
        let known = told["version"].as_str().unwrap();
        assert!(known.starts_with(&format!("{version}.")), "{known} instead of {version}");
        assert_eq!(told["version_from"], format!("{binary} -v"));
    }
    // Nothing is assumed of another machine's file.
    let (_, told) = json(directory.path(), &["--haproxy", "haproxy.cfg"]);
    assert_eq!((&told["version"], &told["version_from"]), (&Value::Null, &Value::Null));
}

#[test]
fn an_executable_that_does_not_end_is_not_waited_for() {
    let directory = files(&[("haproxy.cfg", GOOD), ("endless", "#!/bin/sh\nexec sleep 1000\n")]);
    let path = directory.path().join("endless");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output =
        doctor(directory.path(), &["--haproxy", "haproxy.cfg", "--haproxy-binary", "./endless"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("./endless -v: it does not end within"));
}

#[test]
fn variables_are_those_of_the_doctor_and_of_the_global_section() {
    let conf = fixture!("variable-unset/bad/mirror.conf");
    let config = GOOD.replace("backend mirroragents", "backend mirroragents-a");
    for (global, own, found) in [
        ("", Some("-a"), false),
        ("", None, true),
        ("global\n    setenv MIRROR_SUFFIX -a\n", None, false),
        ("global\n    setenv MIRROR_SUFFIX -a\n", Some("-b"), false),
        ("global\n    presetenv MIRROR_SUFFIX -b\n", Some("-a"), false),
        ("global\n    unsetenv MIRROR_SUFFIX\n", Some("-a"), true),
    ] {
        let directory =
            files(&[("haproxy.cfg", &format!("{global}{config}")), ("mirror.conf", conf)]);
        let mut command = Command::new(PROGRAM);
        command
            .args(["doctor", "--haproxy", "haproxy.cfg", "--json"])
            .current_dir(directory.path());
        if let Some(value) = own {
            command.env("MIRROR_SUFFIX", value);
        }
        let output = command.output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = told["findings"].as_array().unwrap();
        let unset = findings.iter().any(|finding| finding["code"] == "variable-unset");
        assert_eq!(unset, found, "{global:?} {own:?}: {told:#}");
        if !found {
            assert_eq!(output.status.code(), Some(0), "{global:?} {own:?}: {told:#}");
        }
    }
}

#[test]
fn when_nothing_is_wrong_it_tells_what_clients_can_come_to_wait() {
    let directory = files(&[("haproxy.cfg", GOOD), ("mirror.conf", CONF)]);
    let output =
        doctor(directory.path(), &["--haproxy", "haproxy.cfg", "--haproxy-version", "3.4"]);
    assert_eq!(
        text(&output.stdout),
        "haproxy.cfg, mirror.conf for HAProxy 3.4 (--haproxy-version): nothing is wrong\n  \
         www: mirror (on-frontend-http-request) of engine mirror to 1 server in mirroragents; a client waits \
         20ms at most, while an agent hangs; HAProxy notices within 1200ms that an agent is gone, within \
         3200ms that it hangs; bodies of up to 14336 bytes pass, beside 1 kB of first line and headers
"
    );
}

#[test]
fn a_reader_that_closed_the_pipe_has_seen_enough() {
    let many = "\"\n".repeat(20);
    let directory = files(&[("haproxy.cfg", &format!("{GOOD}{many}")), ("mirror.conf", CONF)]);
    let mut child = Command::new(PROGRAM)
        .args(["doctor", "--haproxy", "haproxy.cfg"])
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(2), ""));
}

#[test]
fn lines_that_would_move_a_terminal_or_fill_it_are_tamed() {
    let long = format!("    log-format \"{}\n", "x".repeat(20_000));
    let config = format!("{GOOD}    http-request deny \x1b[2J\u{202e}\" \n{long}");
    let directory = files(&[("haproxy.cfg", &config), ("mirror.conf", CONF)]);
    let output = doctor(directory.path(), &["--haproxy", "haproxy.cfg"]);
    assert_eq!(output.status.code(), Some(2));
    let shown = text(&output.stdout);
    assert!(shown.contains("\\u{1b}[2J\\u{202e}") && !shown.contains('\u{1b}'), "{shown}");
    assert!(shown.len() < 8000, "{} bytes", shown.len());
}

#[test]
fn every_code_has_its_page() {
    let list = text(&doctor(Path::new("."), &["--explain", "list"]).stdout);
    let codes: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert!(codes.len() >= 4, "{list}");
    for code in codes {
        let output = doctor(Path::new("."), &["--explain", code]);
        assert_eq!(output.status.code(), Some(0));
        let page = text(&output.stdout);
        assert!(page.starts_with(&format!("{code}\n\n")), "{page}");
        assert!(page.contains("\nWhy it matters\n") && page.contains("\nWhat to do\n"), "{page}");
        assert!(!page.contains("```") && !page.contains('\u{1b}'), "{page}");
    }
}

/// The table of docs/DOCTOR.md has every code, with the page's first sentence, and no other.
#[test]
fn the_documentation_lists_every_code_and_no_other() {
    let list = text(&doctor(Path::new("."), &["--explain", "list"]).stdout);
    let documented = include_str!("../../../../docs/DOCTOR.md");
    let documented: Vec<&str> =
        documented.lines().filter(|line| line.starts_with("| [`")).collect();
    let mut rows: Vec<String> = Vec::new();
    for line in list.lines().filter(|line| line.starts_with("  ")) {
        match line.strip_prefix("   ") {
            // The sentence goes on.
            Some(more) => {
                let row = rows.last_mut().unwrap();
                row.truncate(row.len() - " |".len());
                row.push_str(&format!(" {} |", more.trim_start()));
            }
            None => {
                let (code, meaning) = line.trim_start().split_once(' ').unwrap();
                let page = format!("../crates/spoa-mirror/src/doctor/pages/{code}.md");
                rows.push(format!("| [`{code}`]({page}) | {} |", meaning.trim_start()));
            }
        }
    }
    assert!(rows == documented, "the table should be\n{}\n", rows.join("\n"));
}
