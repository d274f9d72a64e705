//! Bodies that are meant to pass and that HAProxy's buffer does not hold.

use super::passing::{Body, HEAD, Room};
use crate::doctor::finding::{Code, Edit, Finding, Severity, code};
use crate::doctor::rules::told::Told;
use crate::doctor::setup::{RuleSet, Setup};
use crate::doctor::versions::LARGE_BUFFERS;

pub(super) static BUFFER: Code = code!("body-larger-than-buffer");
pub(super) static IN_VAIN: Code = code!("large-buffers-no-help");

pub(super) fn examine(told: &Told<'_, '_>, bodies: &[Body<'_, '_>], room: Room) -> Option<Finding> {
    bodies.iter().find_map(|body| in_vain(told, body, room).or_else(|| larger(told, body, room)))
}

/// A size is named that the buffer cannot hold, whatever the head.
fn larger(told: &Told<'_, '_>, body: &Body<'_, '_>, room: Room) -> Option<Finding> {
    let setup = told.setup;
    let meant = body.meant().filter(|meant| *meant > room.buffer)?;
    let message = format!(
        "{} bytes of the {} are to pass, and HAProxy's buffer holds {}",
        meant,
        body.what(),
        room.buffer
    );
    let mut finding = Finding::new(&BUFFER, Severity::Warning, message).at(body.given.place());
    for setter in body.setters() {
        finding = finding.and_at(setter.at.place(), "the body is saved here");
    }
    if let Some(value) = setup.global(&["tune.bufsize"]) {
        finding = finding.and_at(value.place(), "the buffer's size");
    }
    let becomes = if body.of_answer {
        "a larger one is not compared"
    } else {
        "a request with a larger one is not copied"
    };
    let (size, edit) = bufsize_for(setup, meant);
    let finding = finding
        .consequence(format!(
            "the largest body that passes has {} bytes beside {HEAD} bytes of first line and headers (tune.bufsize \
             {} less tune.maxrewrite {}), with HAProxy of every version; {becomes}",
            room.body(),
            setup.bufsize(),
            setup.maxrewrite()
        ))
        .mend(format!(
            "say `tune.bufsize {size}` in the `global` section; each connection at work takes two buffers of that \
             size"
        ));
    Some(match edit {
        Some(edit) => finding.edit(edit),
        None => finding,
    })
}

/// A body that is waited for in a large buffer fits no frame.
fn in_vain(told: &Told<'_, '_>, body: &Body<'_, '_>, room: Room) -> Option<Finding> {
    let setup = told.setup;
    if !LARGE_BUFFERS.may_hold(setup.version)
        || body.meant().is_some_and(|meant| meant <= room.body())
    {
        return None;
    }
    let set = if body.of_answer { RuleSet::HttpResponse } else { RuleSet::HttpRequest };
    let home = setup.proxy_of(told.filter)?;
    let rule = home.rules().find(|rule| {
        rule.set == set
            && rule.action() == b"wait-for-body"
            && rule.at.position("use-large-buffer").is_some()
    })?;
    let at = rule.at;
    let large = setup.global(&["tune.bufsize.large"]).and_then(|value| value.size());
    let message = format!(
        "large buffers do not help the message `{}`: its frame is no larger than tune.bufsize",
        told.message.name()
    );
    let index = at.position("use-large-buffer");
    let kept = at.line.words.iter().enumerate().filter(|(place, _)| Some(*place) != index);
    let statement: Vec<_> = kept.map(|(_, word)| at.shown(word)).collect();
    let wanted = large.unwrap_or_default().saturating_sub(setup.maxrewrite() + HEAD);
    let (size, edit) = bufsize_for(setup, body.meant().unwrap_or(wanted).max(room.buffer));
    let mut finding = Finding::new(&IN_VAIN, Severity::Warning, message)
        .at(index.and_then(|index| at.word(index)).map_or(at.place(), |word| at.place_of(word)))
        .and_at(body.given.place(), "the body is handed over here")
        .consequence(format!(
            "with HAProxy {}, a message with a body of more than {} bytes (beside {HEAD} bytes of first line and \
             headers) is not sent at all (`st=3` in HAProxy's log)",
            LARGE_BUFFERS.versions,
            room.frame.min(room.whole_frame).saturating_sub(HEAD)
        ))
        .mend(format!("say `tune.bufsize {size}` in its place"))
        .edit(at.replaced(&statement.join(" ")));
    if let Some(edit) = edit {
        finding = finding.edit(edit);
    }
    Some(finding)
}

/// The `tune.bufsize` for bodies of this many bytes, a power of two, and the change that says so, where there is
/// a `global` section.
pub(super) fn bufsize_for(setup: &Setup<'_>, body: u64) -> (u64, Option<Edit>) {
    let least = body.saturating_add(setup.maxrewrite() + HEAD).min(1 << 27);
    let size = least.next_power_of_two();
    let statement = format!("tune.bufsize {size}");
    let edit = match setup.global(&["tune.bufsize"]) {
        Some(value) => Some(value.replaced(&size.to_string())),
        None => {
            let last = setup.last_global();
            last.map(|last| last.followed_by(&last.indentation(), &[&statement]))
        }
    };
    (size, edit)
}
