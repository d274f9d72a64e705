//! How long a client waits with an agent that is well, hangs, is gone, or cannot be reached.

use std::path::Path;

use testbed::backend::Blackhole;
use testbed::document::Files;
use testbed::haproxy::Version;

use crate::scene::{Scene, mirror_only};
use crate::table::{Row, milliseconds};

/// Requests of which each takes no time that one would notice.
const MANY: usize = 500;

/// All rows, for this version.
pub(crate) fn measure(version: Version, agent: &Path) -> Vec<Row> {
    let measuring = Measuring { version, agent };
    let filter = "    filter spoe engine mirror config /etc/haproxy/mirror.conf\n";
    let mut rows = vec![
        measuring.well("no SPOE", mirror_only(version).change(filter, "")),
        measuring.well("agent well, as documented", mirror_only(version)),
    ];
    for (time, count) in [("20ms", 20), ("500ms", 4), ("5s", 2)] {
        rows.push(measuring.hung(time, count));
    }
    rows.push(measuring.hung_twice(false));
    rows.push(measuring.hung_twice(true));
    for (processing, count) in [("20ms", 20), ("5s", 1)] {
        for retries in [3, 0] {
            rows.push(measuring.refused(processing, retries, count));
        }
    }
    for (processing, connect, count) in [("20ms", "5s", 20), ("5s", "100ms", 1), ("5s", "5s", 1)] {
        rows.push(measuring.unreachable(processing, connect, count));
    }
    let documented = || mirror_only(version);
    let check = "    option spop-check\n";
    let quick = documented().change(check, &format!("{check}    timeout check 200ms\n"));
    rows.extend(measuring.noticed("is killed, as documented", documented(), Scene::kill));
    rows.extend(measuring.noticed("hangs, as documented", documented(), Scene::hang));
    rows.extend(measuring.noticed("hangs, `timeout check 200ms`", quick, Scene::hang));
    // As is documented for versions before 3.1, and would be without effect later.
    let closing = " on-marked-down shutdown-sessions";
    let files = documented();
    let using = if files.config.contains(closing) { files.change(closing, "") } else { files };
    let what = "hangs, no `on-marked-down shutdown-sessions`";
    rows.extend(measuring.noticed(what, using, Scene::hang));
    rows
}

struct Measuring<'a> {
    version: Version,
    agent: &'a Path,
}

impl Measuring<'_> {
    fn start(&self, files: Files) -> Scene {
        let scene = Scene::start(self.version, self.agent, files);
        // Connections are made, buffers allocated.
        scene.times(20);
        scene
    }

    fn well(&self, setting: &str, files: Files) -> Row {
        Row::times(setting, self.start(files).times(MANY))
    }

    fn hung(&self, processing: &str, count: usize) -> Row {
        let mut scene = self.start(with(mirror_only(self.version).unchecked(), processing));
        scene.hang();
        let setting = format!("hangs, unchecked, `timeout processing {processing}`");
        Row::times(setting, scene.times(count))
    }

    /// With a second message when the answer is there.
    fn hung_twice(&self, on: bool) -> Row {
        let first = "    event on-frontend-http-request\n";
        let second = "\nspoe-message answer\n    args status=status id=unique-id\n    \
                      event on-http-response\n";
        let option = if on { "    option continue-on-error\n" } else { "" };
        let files = with(mirror_only(self.version).unchecked(), "100ms")
            .change("    messages mirror\n", &format!("    messages mirror answer\n{option}"))
            .change(first, &format!("{first}{second}"));
        let mut scene = self.start(files);
        scene.hang();
        let with = if on { "with" } else { "without" };
        let setting = format!(
            "hangs, unchecked, `timeout processing 100ms`, two events, {with} `option continue-on-error`"
        );
        Row::times(setting, scene.times(5))
    }

    fn refused(&self, processing: &str, retries: u8, count: usize) -> Row {
        let files = with(mirror_only(self.version).unchecked(), processing);
        let mut scene = self.start(files.change("retries 0", &format!("retries {retries}")));
        scene.kill();
        let setting =
            format!("refuses, unchecked, `timeout processing {processing}`, `retries {retries}`");
        Row::times(setting, scene.times(count))
    }

    fn unreachable(&self, processing: &str, connect: &str, count: usize) -> Row {
        let hole = Blackhole::start();
        let files = with(mirror_only(self.version).unchecked(), processing)
            .change("timeout connect 100ms", &format!("timeout connect {connect}"))
            .change("127.0.0.1:12345", &hole.address().to_string());
        let scene = Scene::start(self.version, self.agent, files);
        let setting = format!(
            "cannot be reached, unchecked, `timeout processing {processing}`, `timeout connect {connect}`"
        );
        Row::times(setting, scene.times(count))
    }

    /// Until the check has noticed, and then.
    fn noticed(&self, what: &str, files: Files, how: impl Fn(&mut Scene)) -> [Row; 3] {
        let mut scene = self.start(files);
        how(&mut scene);
        let (times, after) = scene.until_noticed();
        [
            Row::new(format!("{what}: noticed after"), milliseconds(after)),
            Row::times(format!("{what}: before that"), times),
            Row::times(format!("{what}: then"), scene.times(50)),
        ]
    }
}

fn with(files: Files, processing: &str) -> Files {
    files.change("timeout processing 20ms", &format!("timeout processing {processing}"))
}
