//! Everything that a target may do, drawn at random.

use std::time::Duration;

use testbed::backend::{Behaviour, Response};

use crate::dice::Dice;

/// One behaviour, good or bad.
pub(crate) fn any(dice: &mut Dice) -> Behaviour {
    let ok = || Response::ok("ok");
    match dice.below(12) {
        0 => Behaviour::delay(Duration::from_millis(50), Behaviour::respond(ok())),
        1 => Behaviour::mute(),
        2 => Behaviour::reset(),
        3 => Behaviour::reset_at_accept(),
        4 => Behaviour::garbage(b"SSH-2.0-OpenSSH_9.2\r\n"),
        5 => Behaviour::huge_body(1 << 30),
        6 => Behaviour::stall("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
        7 => Behaviour::cut_short("HTTP/1.1 200"),
        8 => Behaviour::close_without_answer(),
        9 => Behaviour::close_after(2, ok()),
        10 => Behaviour::raw([ok().to_bytes(b"GET"), ok().to_bytes(b"GET")].concat()),
        _ => Behaviour::respond(ok()),
    }
}
