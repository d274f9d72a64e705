//! What was looked at, for who sees that nothing is wrong: who mirrors what, what a client can come to wait, and how
//! large a body may be.

use std::time::Duration;

use super::rules::bodies::largest;
use super::rules::health::noticed;
use super::setup::lines::shown;
use super::setup::{Filter, Proxy, Setup, Spoe};

/// Longer lists are cut, in names.
const MAX_NAMES: usize = 10;

/// A line for each filter that mirrors.
pub(super) fn lines(setup: &Setup<'_>) -> Vec<String> {
    setup.mirrors().filter_map(|filter| line(setup, filter)).collect()
}

fn line(setup: &Setup<'_>, filter: &Filter<'_>) -> Option<String> {
    let proxy = setup.proxy_of(filter)?;
    let spoe = filter.spoe.as_ref()?;
    let engine =
        filter.engine.map_or(String::new(), |name| format!(" of engine {}", filter.at.shown(name)));
    let agents = setup.agents_of(filter).map_or_else(|| "agents".to_owned(), agents);
    let waits = match wait(spoe) {
        Some(time) => format!("a client waits {} at most, while an agent hangs", shown(time)),
        None => "a client waits for ever, while an agent hangs".to_owned(),
    };
    let noticed = setup.agents_of(filter).and_then(noticed);
    let until = noticed.map_or_else(String::new, |(gone, hangs)| {
        let (gone, hangs) = (shown(gone), shown(hangs));
        format!(
            "; HAProxy notices within {gone} that an agent is gone, within {hangs} that it hangs"
        )
    });
    let messages = messages(spoe);
    let bodies = largest(setup, filter).map_or_else(String::new, |most| {
        format!("; bodies of up to {most} bytes pass, beside 1 kB of first line and headers")
    });
    Some(format!("{}: {messages}{engine} to {agents}; {waits}{until}{bodies}", proxy.name()))
}

/// Each message with what makes HAProxy send it.
fn messages(spoe: &Spoe<'_>) -> String {
    let mut names: Vec<String> = spoe
        .sent()
        .iter()
        .map(|message| match message.event() {
            Some(event) => format!("{} ({})", message.name(), event.at.shown(event.name)),
            None => format!("{} (sent by a rule)", message.name()),
        })
        .collect();
    let cut = names.len() > MAX_NAMES;
    names.truncate(MAX_NAMES);
    format!("{}{}", names.join(", "), if cut { ", ..." } else { "" })
}

fn agents(backend: &Proxy<'_>) -> String {
    let count = backend.servers().len();
    format!("{count} server{} in {}", if count == 1 { "" } else { "s" }, backend.name())
}

/// What all events of a transaction can take together. Without `option continue-on-error` nothing more is sent
/// after the first that failed.
fn wait(spoe: &Spoe<'_>) -> Option<Duration> {
    let agent = spoe.agent.as_ref()?;
    let once = agent.lines.value(&["timeout", "processing"])?.time()?;
    // 0 is no limit.
    if once.is_zero() {
        return None;
    }
    if agent.lines.option("continue-on-error").is_none() {
        return Some(once);
    }
    let mut events: Vec<&[u8]> = spoe
        .sent()
        .iter()
        .filter_map(|message| message.event())
        .map(|event| event.name.text.as_slice())
        .collect();
    events.sort_unstable();
    events.dedup();
    let groups = agent.groups().len();
    let times = u32::try_from(events.len() + groups).unwrap_or(u32::MAX).max(1);
    once.checked_mul(times)
}
