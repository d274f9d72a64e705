use super::TOPIC;
use crate::doctor::rules::examined::{MIRROR, codes, findings};

const HAPROXY: &str = "frontend www
    mode http
    bind :80
    filter spoe engine mirror config mirror.conf
    default_backend app
backend app
    mode http
    server app1 127.0.0.1:8080
backend mirroragents
    mode tcp
    server agent1 127.0.0.1:12345
";

/// What is found when texts of the files are replaced by others.
fn found(haproxy: &[(&str, &str)], mirror: &[(&str, &str)]) -> Vec<&'static str> {
    let changed = |text: &str, changes: &[(&str, &str)]| {
        changes.iter().fold(text.to_owned(), |text, (what, with)| {
            assert!(text.contains(what), "{what}");
            text.replacen(what, with, 1)
        })
    };
    codes(&findings(&TOPIC, &changed(HAPROXY, haproxy), &changed(MIRROR, mirror), None))
}

#[test]
fn what_the_other_tests_change_is_right() {
    assert_eq!(found(&[], &[]), [""; 0]);
}

#[test]
fn what_depends_on_haproxys_surroundings_is_left_alone() {
    let nothing = [""; 0];
    assert_eq!(found(&[], &[("use-backend mirroragents", "use-backend \"${AGENTS}\"")]), nothing);
    assert_eq!(found(&[], &[("messages mirror", "messages \"$MESSAGES\"")]), nothing);
    assert_eq!(found(&[("mode tcp", "mode \"${AGENTS_MODE}\"")], &[]), nothing);
    let event = "event \"on-${SIDE}-http-request\"";
    assert_eq!(found(&[], &[("event on-frontend-http-request", event)]), nothing);
    let rule = "\n    http-request send-spoe-group \"$ENGINE\" requests";
    let filter = "config mirror.conf";
    assert_eq!(found(&[(filter, &format!("{filter}{rule}"))], &[]), nothing);
}

#[test]
fn branches_exclude_each_other() {
    let agents = ".if feature(X)\nspoe-agent mirror\n    messages mirror\n    use-backend mirroragents\n.else\n\
                  spoe-agent mirror\n    messages mirror\n.endif\nspoe-agent unused";
    let twice = found(&[], &[("spoe-agent mirror", agents)]);
    assert!(!twice.contains(&"name-twice"), "{twice:?}");
    let filter = "    filter spoe engine mirror config mirror.conf\n";
    let both = format!(".if feature(X)\n{filter}.endif\n");
    assert_eq!(found(&[(filter, &both)], &[]), [""; 0]);
}

#[test]
fn engines_for_other_purposes_are_left_alone() {
    let filter = "    filter spoe engine mirror config mirror.conf\n";
    let waf = format!(
        "{filter}    filter spoe engine waf config waf.conf\n    \
                       http-request send-spoe-group waf check\n    \
                       http-request send-spoe-group antivirus scan\n"
    );
    assert_eq!(found(&[(filter, &waf)], &[]), [""; 0]);
    let broken = "[waf]\nspoe-agent waf-agent\n    messages nothing\n[mirror]\n";
    assert_eq!(found(&[], &[("[mirror]\n", broken)]), [""; 0]);
}

#[test]
fn one_mistake_is_told_once() {
    assert_eq!(found(&[], &[("messages mirror", "messages miror")]), ["message-undefined"]);
    let group = ("    messages mirror\n", "    groups requests\n");
    let section = ("spoe-message", "spoe-group request\n    messages mirror\nspoe-message");
    let rule = (
        "config mirror.conf",
        "config mirror.conf\n    http-request send-spoe-group mirror request",
    );
    assert_eq!(found(&[rule], &[section, group]), ["group-undefined"]);
    let misspelt = ("    use-backend mirroragents", "    use_backend mirroragents");
    assert_eq!(found(&[], &[misspelt]), [""; 0]);
    // Two proxies share an engine.
    let two = (
        "backend app\n",
        "frontend api\n    mode http\n    bind :81\n    default_backend app\nbackend app\n",
    );
    assert_eq!(found(&[two], &[("    use-backend mirroragents\n", "")]), ["use-backend-missing"]);
}

#[test]
fn names_that_are_made_of_the_request_may_be_those_of_any_backend() {
    let tcp = ("mode http\n    bind", "mode tcp\n    bind");
    let app = ("backend app\n    mode http", "backend app\n    mode tcp");
    // The first is in `default_backend app`.
    let app = ("default_backend app\nbackend app\n    mode http", app.1);
    let chosen = format!("use_backend %[src,map(to.map)]\n    default_backend app\n{}", app.1);
    let fixed = format!("default_backend app\n{}", app.1);
    assert_eq!(found(&[tcp, (app.0, &fixed)], &[]), ["event-never-happens"]);
    assert_eq!(found(&[tcp, (app.0, &chosen)], &[]), [""; 0]);
}

#[test]
fn the_name_that_was_meant_is_written() {
    let text = MIRROR.replace("on-frontend-http-request", "on-fronted-http-request");
    let findings = findings(&TOPIC, HAPROXY, &text, None);
    assert_eq!(codes(&findings), ["event-unknown"]);
    assert_eq!(findings[0].mend.say, "write `event on-frontend-http-request`");
    assert_eq!(findings[0].mend.edits.len(), 1);
}
