//! The data plane's side of comparison: what is recorded of a request, and how it gets to the control
//! plane without anything here ever waiting.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::expected::Expected;
use super::half::{Asked, End, Extent, Half, HeaderBytes, Key, Part, Recorded, Subject, Turn};
use super::memory::Memory;
use super::recording::Recording;
use crate::config::{ComparisonConfig, Share};
use crate::exchange::{Headers, Production};

/// More of a path than this does not tell endpoints apart, in bytes.
const LONGEST_PATH: usize = 1024;

/// Halves that may lie between the data plane and the control plane.
pub(super) const CHANNEL: usize = 4096;

/// What makes the draw for the control another one than that for the sample.
const CONTROL: u64 = u64::from_le_bytes(*b"control ");

/// Takes halves from all workers, for as long as the program runs.
pub struct Intake {
    sender: SyncSender<Half>,
    memory: Memory,
    expected: Expected,
    settings: Settings,
    started: Instant,
    counts: Counters,
}

/// What a reload may change.
#[derive(Default)]
struct Settings {
    /// In millionths.
    share: AtomicU32,
    max_body: AtomicUsize,
    /// In milliseconds.
    wait: AtomicU64,
}

#[derive(Default)]
struct Counters {
    copies: AtomicU64,
    copies_lost: AtomicU64,
    answers: AtomicU64,
    answers_lost: AtomicU64,
    late: AtomicU64,
    nameless: AtomicU64,
}

/// What the data plane counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Copies whose answers are to be compared.
    pub copies: u64,
    /// Those of them that there was no room for.
    pub copies_lost: u64,
    /// Production's answers to requests that have such copies.
    pub answers: u64,
    /// Those of them that there was no room for.
    pub answers_lost: u64,
    /// Production's answers that came by themselves, to whichever request.
    pub late: u64,
    /// Requests that came without production's answer and without an id.
    pub nameless: u64,
}

impl Intake {
    /// An intake as configured, and where its halves come out.
    #[must_use]
    pub fn new(config: &ComparisonConfig) -> (Self, Receiver<Half>) {
        let (sender, receiver) = sync_channel(CHANNEL);
        let intake = Self {
            sender,
            memory: Memory::new(config.memory),
            expected: Expected::default(),
            settings: Settings::default(),
            started: Instant::now(),
            counts: Counters::default(),
        };
        intake.configure(config);
        (intake, receiver)
    }

    /// Does as `config` says from now on.
    pub fn configure(&self, config: &ComparisonConfig) {
        let wait = u64::try_from(config.wait.as_millis()).unwrap_or(u64::MAX);
        self.memory.set_most(config.memory);
        self.settings.share.store(config.sample.millionths(), Relaxed);
        self.settings.max_body.store(config.max_body, Relaxed);
        self.settings.wait.store(wait, Relaxed);
    }

    /// How long a half waits for the other.
    #[must_use]
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.settings.wait.load(Relaxed))
    }

    /// Bytes that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.memory.held()
    }

    /// Bytes that may be held.
    #[must_use]
    pub fn most_held(&self) -> usize {
        self.memory.most()
    }

    /// What was counted so far.
    #[must_use]
    pub fn taken(&self) -> Taken {
        let counts = &self.counts;
        // What came last is read last: no more can be lost than there were.
        let copies_lost = counts.copies_lost.load(Relaxed);
        let answers_lost = counts.answers_lost.load(Relaxed);
        Taken {
            copies: counts.copies.load(Relaxed),
            copies_lost,
            answers: counts.answers.load(Relaxed),
            answers_lost,
            late: counts.late.load(Relaxed),
            nameless: counts.nameless.load(Relaxed),
        }
    }

    fn max_body(&self) -> usize {
        self.settings.max_body.load(Relaxed)
    }

    /// Opens a request whose copies are to be compared: one in the sample. `number` is a worker's, and its
    /// number for the request; `read` gives production's answer when the message holds that as well; `id`
    /// is what HAProxy calls the request, without which an answer that comes later cannot be told whose it
    /// is. `frame_limit`: see [`Production::body_size`].
    pub fn open<'a>(
        self: &Arc<Self>,
        number: (usize, u64),
        id: Option<&'a [u8]>,
        frame_limit: u32,
        read: impl FnOnce() -> Option<Production<'a>>,
    ) -> Option<Opened<'a>> {
        let key = Key::new(number.0, number.1);
        let share = Share::of_millionths(self.settings.share.load(Relaxed));
        if !share.includes(xxh3_64(&key.number().to_le_bytes())) {
            return None;
        }
        let answer = match (read(), id.filter(|id| !id.is_empty())) {
            (Some(production), _) => Answer::Here { production, frame_limit },
            (None, Some(id)) => Answer::Later { id },
            (None, None) => {
                self.counts.nameless.fetch_add(1, Relaxed);
                return None;
            }
        };
        let open = Rc::new(Open {
            intake: Arc::clone(self),
            key,
            copies: Cell::new(0),
            sealed: Cell::new(false),
            path: OnceCell::new(),
        });
        Some(Opened { open, path: &[], answer })
    }

    /// Takes an answer that came by itself.
    pub fn late(&self, production: &Production<'_>, frame_limit: u32) {
        self.counts.late.fetch_add(1, Relaxed);
        let Some(id) = production.id else { return };
        if let Some(key) = self.expected.take(id, self.now(), self.keep()) {
            self.send_production(key, production, frame_limit, None);
        }
    }

    fn send_production(
        &self,
        key: Key,
        production: &Production<'_>,
        frame_limit: u32,
        copies: Option<u32>,
    ) {
        self.counts.answers.fetch_add(1, Relaxed);
        let answer = Box::new(record(production, self.max_body(), frame_limit));
        if !self.send(key, Part::Production { answer, copies }) {
            self.counts.answers_lost.fetch_add(1, Relaxed);
        }
    }

    /// Hands a part over, if there is room for it.
    fn send(&self, key: Key, part: Part) -> bool {
        let mut weight = self.memory.weight();
        weight.grow(part.bytes()) && self.sender.try_send(Half { key, part, weight }).is_ok()
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// How long ids are kept, in seconds. They are as old as whole seconds.
    fn keep(&self) -> u64 {
        self.wait().as_secs() + 1
    }
}

/// What is kept of production's answer.
fn record(production: &Production<'_>, max_body: usize, frame_limit: u32) -> Recorded {
    let given = production.body.bytes;
    let body = given.get(..max_body).unwrap_or(given);
    let extent = match production.body_size(frame_limit) {
        Some(size) if size == body.len() as u64 => Extent::Whole,
        size => Extent::Part(size),
    };
    Recorded {
        status: production.status,
        headers: production.headers.map(|headers| match headers {
            Headers::Block(bytes) => HeaderBytes::Block(bytes.to_vec()),
            Headers::Text(bytes) => HeaderBytes::Text(bytes.to_vec()),
        }),
        body: body.to_vec(),
        extent,
        head_time: production.time,
        time: None,
    }
}

/// A request whose copies are to be compared, while it is offered to the targets.
pub struct Opened<'a> {
    open: Rc<Open>,
    path: &'a [u8],
    answer: Answer<'a>,
}

/// Where production's answer is.
enum Answer<'a> {
    Here { production: Production<'a>, frame_limit: u32 },
    Later { id: &'a [u8] },
}

struct Open {
    intake: Arc<Intake>,
    key: Key,
    /// Copies that are compared.
    copies: Cell<u32>,
    /// All targets were asked: that number is final.
    sealed: Cell<bool>,
    /// The path that the client asked for, without its query; once a copy is compared.
    path: OnceCell<Box<[u8]>>,
}

impl Open {
    /// How many copies are compared, once that is known.
    fn copies(&self) -> Option<u32> {
        self.sealed.get().then(|| self.copies.get())
    }
}

impl<'a> Opened<'a> {
    /// The request is for this path: its endpoint is the same for all targets, however they rewrite it.
    #[must_use]
    pub fn at(self, path: &'a [u8]) -> Self {
        Self { path, ..self }
    }

    /// Whether it is among those requests, `share` of all that are compared, of which a target gets two
    /// copies: one draw for all targets, which has nothing to do with the sample's.
    #[must_use]
    pub fn is_repeated(&self, share: Share) -> bool {
        share.includes(xxh3_64_with_seed(&self.open.key.number().to_le_bytes(), CONTROL))
    }

    /// A ticket for one copy.
    #[must_use]
    pub fn ticket(&self, target: &Arc<Subject>, turn: Turn) -> Ticket {
        self.open.copies.set(self.open.copies.get() + 1);
        self.open.path.get_or_init(|| {
            let end = self.path.iter().position(|byte| *byte == b'?').unwrap_or(self.path.len());
            self.path.get(..end.min(LONGEST_PATH)).unwrap_or_default().into()
        });
        Ticket { open: Some(Rc::clone(&self.open)), target: Arc::clone(target), turn }
    }

    /// All targets were asked.
    pub fn seal(self) {
        let Open { intake, key, copies, sealed, .. } = &*self.open;
        sealed.set(true);
        let copies = copies.get();
        if copies == 0 {
            return;
        }
        intake.counts.copies.fetch_add(u64::from(copies), Relaxed);
        match &self.answer {
            Answer::Here { production, frame_limit } => {
                intake.send_production(*key, production, *frame_limit, Some(copies));
            }
            Answer::Later { id } => {
                intake.expected.insert(id, *key, intake.now(), intake.keep());
            }
        }
    }
}

/// What a copy brings along whose answer is to be compared. Dropped without [`settle`](Self::settle),
/// it tells that the copy was not sent.
pub struct Ticket {
    open: Option<Rc<Open>>,
    target: Arc<Subject>,
    turn: Turn,
}

impl Ticket {
    /// Where the answer is kept as it comes.
    #[must_use]
    pub fn recording(&self) -> Option<Box<Recording>> {
        let intake = &self.open.as_ref()?.intake;
        Some(Box::new(Recording::new(intake.max_body(), intake.memory.weight())))
    }

    /// The copy came to this end; `asked` gives it with so many bytes of its body.
    pub fn settle(mut self, end: End, asked: impl FnOnce(usize) -> Asked) {
        let Some(open) = self.open.take() else { return };
        let mut asked = asked(open.intake.max_body());
        asked.path = open.path.get().map(|path| path.to_vec()).unwrap_or_default();
        self.send(&open, asked, end);
    }

    fn send(&self, open: &Open, asked: Asked, end: End) {
        let (target, asked) = (Arc::clone(&self.target), Box::new(asked));
        let lost = matches!(end, End::Lost);
        let (turn, copies) = (self.turn, open.copies());
        let part = Part::Shadow { target, asked, end, turn, copies };
        if lost || !open.intake.send(open.key, part) {
            open.intake.counts.copies_lost.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.sealed.get() {
            self.send(&open, Asked::default(), End::NotSent);
        } else {
            // Whoever asked for it has counted it already.
            open.copies.set(open.copies.get().saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests;
