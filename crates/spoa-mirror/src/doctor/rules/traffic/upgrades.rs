//! Requests that the agent never copies: upgrades and tunnels.

use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::told::Told;

pub(super) static UPGRADE_MIRRORED: Code = code!("upgrade-mirrored");

/// Speaks only where HAProxy's files show that there are such requests.
pub(super) fn examine(told: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    let mut proxies = told.setup.proxies.iter();
    let Some(tunnel) = proxies.find_map(|proxy| proxy.lines.value(&["timeout", "tunnel"])) else {
        return;
    };
    for sending in &told.sendings {
        let selection = told.setup.selection(told.filter, sending);
        let excluded = selection.iter().any(|criterion| {
            let words = criterion.words.iter().map(|word| word.text.to_ascii_lowercase());
            let text = words.collect::<Vec<_>>().join(&b' ');
            [&b"upgrade"[..], b"websocket", b"connect"]
                .iter()
                .any(|sign| text.windows(sign.len()).any(|part| part == *sign))
        });
        if excluded {
            continue;
        }
        findings.push(
            Finding::new(
                &UPGRADE_MIRRORED,
                Severity::Hint,
                "upgrades (WebSockets) and CONNECT are handed over, and the agent never copies them",
            )
            .at(sending.at.place())
            .and_at(tunnel.place(), "there are such requests: they may stay open for long")
            .consequence(
                "each of them waits for the agent as other requests do, and is counted as dropped: `upgrade`, `connect`",
            )
            .mend("leave them out: `!{ hdr(upgrade) -m found } !{ method CONNECT }`"),
        );
        return;
    }
}
