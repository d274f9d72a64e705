//! Messages that are larger than a frame, and what limits frames.

use super::passing::{Body, HEAD, Room};
use crate::doctor::finding::{Code, Finding, Place, Severity, code};
use crate::doctor::rules::told::{Part, Told};
use crate::doctor::setup::Setup;
use crate::doctor::setup::spoe::SpoeAgent;
use crate::doctor::versions::FRAGMENTS;

pub(super) static CLIPPED: Code = code!("frame-size-clipped");
pub(super) static OVER: Code = code!("body-cap-over-frame");
pub(super) static FRAGMENTS_OFF: Code = code!("fragments-off");

/// `max-frame-size` beyond what HAProxy takes.
pub(super) fn refused(setup: &Setup<'_>, agent: &SpoeAgent<'_>) -> Option<Finding> {
    let value = agent.lines.value(&["max-frame-size"])?;
    let most = setup.bufsize().saturating_sub(4);
    let size = value.size().filter(|size| *size > most)?;
    let message =
        format!("`max-frame-size {size}` is more than tune.bufsize less 4, which is {most}");
    let mut finding = Finding::new(&CLIPPED, Severity::Error, message).at(value.place());
    if let Some(bufsize) = setup.global(&["tune.bufsize"]) {
        finding = finding.and_at(bufsize.place(), "the buffer's size");
    }
    Some(
        finding
            .consequence("HAProxy of every version does not start with it")
            .mend(format!(
                "take the line away: frames are then as large as they can be, {most} bytes; for larger ones raise \
                 `tune.bufsize`"
            ))
            .edit(value.at.removed()),
    )
}

pub(super) fn examine(
    told: &Told<'_, '_>,
    agent: &SpoeAgent<'_>,
    bodies: &[Body<'_, '_>],
    room: Room,
) -> Option<Finding> {
    let setup = told.setup;
    let heads = heads(told);
    let total = bodies.iter().map(Body::most).fold(heads, u64::saturating_add);
    let clipped = room.frame < room.whole_frame;
    // A head and a body that HAProxy's buffer held together fit a frame of the buffer's size.
    let one_buffer = !clipped && bodies.len() < 2;
    if bodies.is_empty() || one_buffer || total <= room.frame {
        return None;
    }
    let off = agent.lines.no_option("send-frag-payload");
    if FRAGMENTS.holds(setup.version) {
        return off.map(|off| {
            let message = format!(
                "the message `{}` may be larger than a frame, and fragments are turned off",
                told.message.name()
            );
            Finding::new(&FRAGMENTS_OFF, Severity::Warning, message)
                .at(off.place())
                .and_at(bodies.first().map_or(off.place(), |body| body.given.place()), "what may be large")
                .consequence(format!(
                    "with HAProxy {}, messages of more than {} bytes are not sent (`st=3` in HAProxy's log); it \
                     may come to {total} bytes",
                    FRAGMENTS.versions, room.frame
                ))
                .mend("take the line away: the agent takes fragments")
                .edit(off.removed())
        });
    }
    let fate = if off.is_some() {
        "are not sent with HAProxy of any version (`st=3` in HAProxy's log)".to_owned()
    } else {
        "are not sent since 3.1 (`st=3` in HAProxy's log); before 3.1 they come in fragments"
            .to_owned()
    };
    if clipped {
        let passes = room.frame.saturating_sub(heads);
        return Some(clipping(told, agent, bodies, &fate, (room, passes)));
    }
    Some(over(told, bodies, &fate, room, (total, heads)))
}

/// The frame is smaller than the buffer, by HAProxy's setting or the agent's.
fn clipping(
    told: &Told<'_, '_>,
    agent: &SpoeAgent<'_>,
    bodies: &[Body<'_, '_>],
    fate: &str,
    (room, passes): (Room, u64),
) -> Finding {
    let setup = told.setup;
    let haproxys = agent.lines.value(&["max-frame-size"]);
    let haproxys =
        haproxys.filter(|value| value.size().is_some_and(|size| size <= room.frame + 32));
    let (name, message) = (told.message.name(), room.frame + 32);
    let message = format!(
        "frames have {message} bytes at most, which is less than the message `{name}` may need"
    );
    let finding = Finding::new(&CLIPPED, Severity::Warning, message).consequence(format!(
        "the largest body that passes has {passes} bytes beside first line and headers; larger messages {fate}"
    ));
    let body = bodies.first().map(|body| body.given.place());
    let with_body = |finding: Finding| match body.clone() {
        Some(place) => finding.and_at(place, "what may be large"),
        None => finding,
    };
    match haproxys {
        Some(value) => with_body(finding.at(value.place()))
            .mend("take the line away: frames are then as large as HAProxy's buffer allows")
            .edit(value.at.removed()),
        None => {
            let path = setup.agent.map_or(String::new(), |(path, _)| path.display().to_string());
            let at: Option<Place> = body.clone();
            let finding = match at {
                Some(place) => finding.at(place),
                None => finding,
            };
            finding.mend(format!(
                "say `max-frame-size = \"1MiB\"` in the `[agent]` table of {path}, or leave it out"
            ))
        }
    }
}

/// The bodies of a message together are more than a frame holds.
fn over(
    told: &Told<'_, '_>,
    bodies: &[Body<'_, '_>],
    fate: &str,
    room: Room,
    (total, heads): (u64, u64),
) -> Finding {
    let name = told.message.name();
    let message =
        format!("the bodies in the message `{name}` may be larger than its frame together");
    let count = bodies.len().max(1) as u64;
    let each = rounded(room.frame.saturating_sub(heads) / count);
    let mut finding = Finding::new(&OVER, Severity::Warning, message);
    let mut words = Vec::new();
    for (index, body) in bodies.iter().enumerate() {
        let label = format!("up to {} bytes", body.most());
        let place = body.given.place();
        finding = if index == 0 { finding.at(place) } else { finding.and_at(place, label) };
        if body.given.is_plain() {
            words.push((body.given.word, capped(&body.given.shown(), each)));
        }
    }
    let finding = finding
        .consequence(format!(
            "it may come to {total} bytes, with {heads} for first lines and headers, and a frame holds {}: larger \
             messages {fate}; bodies of up to {} bytes together pass",
            room.frame,
            room.frame.saturating_sub(heads)
        ))
        .mend(format!(
            "hand over at most {each} bytes of each, by `bytes(0,{each})`, or raise `tune.bufsize` and cap them"
        ));
    let lines: Vec<_> = bodies.iter().map(|body| body.given.at).collect();
    match lines.as_slice() {
        [first, rest @ ..]
            if words.len() == bodies.len()
                && rest.iter().all(|at| at.line.number == first.line.number) =>
        {
            finding.edit(first.rewritten(&words, &[]))
        }
        _ => finding,
    }
}

/// What is allowed for the heads in a message, the request's and the answer's: bytes.
pub(super) fn heads(told: &Told<'_, '_>) -> u64 {
    HEAD * (u64::from(told.has(Part::Headers)) + u64::from(told.has(Part::AnswerHeaders)))
}

/// An argument with its `bytes(0,N)` set, or with one.
fn capped(written: &str, most: u64) -> String {
    let cap = format!("bytes(0,{most})");
    match written.find("bytes(") {
        Some(start) => {
            let end = written.get(start..).and_then(|rest| rest.find(')'));
            let rest = end.and_then(|end| written.get(start + end + 1..)).unwrap_or_default();
            format!("{}{cap}{rest}", written.get(..start).unwrap_or_default())
        }
        None => format!("{written},{cap}"),
    }
}

/// A round number that is not more.
fn rounded(bytes: u64) -> u64 {
    if bytes > 2000 { bytes / 500 * 500 } else { bytes }
}
