//! What passes: HAProxy's buffer, the frame, and what a message makes of the bodies that it hands over.

use crate::doctor::expression::Expression;
use crate::doctor::rules::told::{Given, Part, Told};
use crate::doctor::setup::spoe::SpoeAgent;
use crate::doctor::setup::{Criterion, Setter, Setup};

/// What is allowed for a request's first line and headers, or an answer's, and for what HAProxy keeps with them
/// in its buffer: bytes. Larger ones leave less for the body.
pub(super) const HEAD: u64 = 1024;

/// What HAProxy keeps free in a frame for what is around a message: bytes.
const AROUND: u64 = 32;

/// How much there is room for, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// `tune.bufsize` less `tune.maxrewrite`: a head and a body.
    pub(super) buffer: u64,
    /// A message, as far as HAProxy's buffer alone limits its frame.
    pub(super) whole_frame: u64,
    /// A message, by all that limits its frame.
    pub(super) frame: u64,
}

impl Room {
    pub(super) fn of(setup: &Setup<'_>, agent: &SpoeAgent<'_>) -> Self {
        let whole = setup.bufsize().saturating_sub(4);
        let haproxys = agent.lines.value(&["max-frame-size"]).and_then(|value| value.size());
        let agents = setup.agent.map(|(_, config)| u64::from(config.agent.max_frame_size));
        let frame = [haproxys, agents].into_iter().flatten().fold(whole, u64::min);
        Self {
            buffer: setup.bufsize().saturating_sub(setup.maxrewrite()),
            whole_frame: whole.saturating_sub(AROUND),
            frame: frame.saturating_sub(AROUND),
        }
    }

    /// The largest body that the buffer holds beside its head.
    pub(super) fn body(&self) -> u64 {
        self.buffer.saturating_sub(HEAD)
    }
}

/// A body in a message.
#[derive(Debug)]
pub(super) struct Body<'s, 'a> {
    pub(super) given: Given<'a>,
    pub(super) of_answer: bool,
    /// The variable that it is saved in, and what sets that to a body.
    pub(super) saved: Option<(String, Vec<Setter<'s, 'a>>)>,
    /// What `bytes(0,N)` leaves of it.
    pub(super) cap: Option<u64>,
    /// The largest one that conditions let pass.
    pub(super) admitted: Option<u64>,
    room: Room,
}

impl<'s, 'a> Body<'s, 'a> {
    /// What saves it in a variable.
    pub(super) fn setters(&self) -> &[Setter<'s, 'a>] {
        self.saved.as_ref().map_or(&[], |(_, setters)| setters)
    }

    /// The largest size that the configuration speaks of, if it does.
    pub(super) fn meant(&self) -> Option<u64> {
        [self.cap, self.admitted].into_iter().flatten().min()
    }

    /// The largest that a message may come to hold.
    pub(super) fn most(&self) -> u64 {
        self.meant().map_or(self.room.body(), |meant| meant.min(self.room.body()))
    }

    /// "body", "answer's body".
    pub(super) fn what(&self) -> &'static str {
        if self.of_answer { "answer's body" } else { "request's body" }
    }
}

/// The bodies that a message hands over.
pub(super) fn bodies<'s, 'a>(told: &Told<'s, 'a>, room: Room) -> Vec<Body<'s, 'a>> {
    let parts = [(Part::Body, "req.body"), (Part::AnswerBody, "res.body")];
    let bodies = parts.iter().filter_map(|(part, fetch)| {
        let given = told.part(*part)?;
        let expression = given.expression();
        let mut caps: Vec<Option<u64>> = vec![cap(&expression)];
        let mut asked = Vec::new();
        let saved = match expression.variable() {
            None if expression.name() == *fetch => None,
            None => return None,
            Some(variable) => {
                let mut setters = told.in_time(variable);
                setters.retain(|setter| {
                    setter.expression.as_deref().is_some_and(|text| {
                        let expression = Expression::parse(text);
                        caps.push(cap(&expression));
                        expression.name() == *fetch
                    })
                });
                if setters.is_empty() {
                    return None;
                }
                for setter in &setters {
                    let acls = setter.proxy.map_or(&[][..], |proxy| &proxy.lines.lines);
                    asked.extend(crate::doctor::setup::rule::criteria(setter.at, acls));
                }
                Some((variable.to_owned(), setters))
            }
        };
        for sending in &told.sendings {
            asked.extend(told.setup.selection(told.filter, sending));
        }
        Some(Body {
            given: given.clone(),
            of_answer: part.is_of_answer(),
            saved,
            cap: caps.into_iter().flatten().min(),
            admitted: asked.iter().filter_map(|asked| admitted(asked, &fetch[..3])).min(),
            room,
        })
    });
    bodies.collect()
}

/// The N of `bytes(0,N)`.
fn cap(expression: &Expression<'_>) -> Option<u64> {
    let bytes = expression.converter("bytes")?;
    bytes.arguments.split(',').nth(1)?.trim().parse().ok()
}

/// The largest body that a criterion lets pass: of `req.body_size le 1000` or
/// `req.fhdr(content-length) -m int lt 1000`.
fn admitted(criterion: &Criterion<'_>, direction: &str) -> Option<u64> {
    let expression = Expression::parse(criterion.expression());
    let (side, what) = expression.name().split_once('.')?;
    let is_size = match what {
        "body_size" => true,
        "hdr" | "fhdr" | "hdr_val" => expression.fetch.arguments.contains("content-length"),
        _ => false,
    };
    if side != direction || !is_size || criterion.negated {
        return None;
    }
    let mut patterns = criterion.patterns().skip_while(|word| !matches!(*word, b"le" | b"lt"));
    patterns.next()?;
    std::str::from_utf8(patterns.next()?).ok()?.parse().ok()
}
