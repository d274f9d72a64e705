//! The data plane's side of comparison: what is recorded of a request, and how it gets to the control
//! plane without anything here ever waiting.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use super::expected::Expected;
use super::half::{Asked, Compared, End, Extent, Half, HeaderBytes, Key, Part, Recorded, Weight};
use crate::config::{ComparisonConfig, Share};
use crate::exchange::{Headers, Production};

/// Halves that may lie between the data plane and the control plane.
const CHANNEL: usize = 4096;

/// Takes halves from all workers.
pub struct Intake {
    sender: SyncSender<Half>,
    /// Bytes of all halves, there and with the control plane.
    held: Arc<AtomicUsize>,
    most: usize,
    expected: Expected,
    share: Share,
    max_body: usize,
    started: Instant,
    /// Halves that there was no room for.
    lost: AtomicU64,
}

impl Intake {
    /// An intake as configured, and where its halves come out.
    #[must_use]
    pub fn new(config: &ComparisonConfig) -> (Self, Receiver<Half>) {
        let (sender, receiver) = sync_channel(CHANNEL);
        let intake = Self {
            sender,
            held: Arc::default(),
            most: config.memory,
            // Entries are as old as whole seconds.
            expected: Expected::new(config.wait.as_secs() + 1),
            share: config.sample,
            max_body: config.max_body,
            started: Instant::now(),
            lost: AtomicU64::new(0),
        };
        (intake, receiver)
    }

    /// Bytes of each body that are kept.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// Halves that there was no room for.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Bytes of the halves that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Opens a request whose copies are to be compared: one in the sample. `production` is its answer
    /// when the message holds that as well; `id` what HAProxy calls the request, without which an answer
    /// that comes later cannot be told whose it is. `number` is a worker's, and its number for the
    /// request.
    pub fn open<'a>(
        self: &Arc<Self>,
        production: Option<Production<'a>>,
        id: Option<&[u8]>,
        number: (usize, u64),
    ) -> Option<Opened<'a>> {
        let key = match (&production, id) {
            (Some(_), _) => Key::of_number(number.0, number.1),
            (None, Some(id)) => Key::of_id(id),
            (None, None) => return None,
        };
        if !self.share.includes(key.words().0) {
            return None;
        }
        let open = Rc::new(Open {
            intake: Arc::clone(self),
            key,
            copies: Cell::new(0),
            sealed: Cell::new(false),
        });
        Some(Opened { open, production })
    }

    /// Takes an answer that came by itself.
    pub fn late(&self, production: &Production<'_>) {
        let Some(key) = production.id.map(Key::of_id) else { return };
        if self.expected.remove(key, self.now()) {
            self.send_production(key, production, None);
        }
    }

    fn send_production(&self, key: Key, production: &Production<'_>, copies: Option<u32>) {
        let answer = Box::new(self.record(production));
        self.send(key, Part::Production { answer, copies });
    }

    fn record(&self, production: &Production<'_>) -> Recorded {
        let body = production.body;
        let kept = body.bytes.get(..self.max_body).unwrap_or(body.bytes);
        let received = body.bytes.len() as u64;
        let extent = match body.stated_size {
            _ if !body.given => Extent::Unknown,
            Some(size) if size > received => Extent::Part(Some(size)),
            size if kept.len() < body.bytes.len() => Extent::Part(size.or(Some(received))),
            _ => Extent::Whole,
        };
        let headers = match production.headers {
            Some(Headers::Block(bytes)) => HeaderBytes::Block(bytes.into()),
            Some(Headers::Text(bytes)) => HeaderBytes::Text(bytes.into()),
            None => HeaderBytes::default(),
        };
        let (status, time) = (production.status, production.time);
        Recorded { status, headers, body: kept.into(), extent, head_time: time, time: None }
    }

    /// Hands a part over, if there is room for it.
    fn send(&self, key: Key, part: Part) {
        let Some(weight) = Weight::take(part.bytes(), self.most, &self.held) else {
            self.lost.fetch_add(1, Relaxed);
            return;
        };
        if self.sender.try_send(Half { key, part, _weight: weight }).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

/// A request whose copies are to be compared, while it is offered to the targets.
pub struct Opened<'a> {
    open: Rc<Open>,
    production: Option<Production<'a>>,
}

struct Open {
    intake: Arc<Intake>,
    key: Key,
    /// Copies that are compared.
    copies: Cell<u32>,
    /// All targets were asked: that number is final.
    sealed: Cell<bool>,
}

impl Opened<'_> {
    /// A ticket for one copy.
    #[must_use]
    pub fn ticket(&self, target: &Arc<Compared>) -> Ticket {
        self.open.copies.set(self.open.copies.get() + 1);
        Ticket { open: Some(Rc::clone(&self.open)), target: Arc::clone(target) }
    }

    /// All targets were asked.
    pub fn seal(self) {
        let Open { intake, key, copies, sealed } = &*self.open;
        sealed.set(true);
        match &self.production {
            _ if copies.get() == 0 => {}
            Some(production) => intake.send_production(*key, production, Some(copies.get())),
            None => intake.expected.insert(*key, intake.now()),
        }
    }
}

/// What a copy brings along whose answer is to be compared. Dropped without [`settle`](Self::settle),
/// it tells that the copy was not sent.
pub struct Ticket {
    open: Option<Rc<Open>>,
    target: Arc<Compared>,
}

impl Ticket {
    /// Bytes of a body that are kept.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.intake.max_body)
    }

    /// The copy came to this end.
    pub fn settle(mut self, asked: Asked, end: End) {
        self.send(asked, end);
    }

    fn send(&mut self, asked: Asked, end: End) {
        let Some(open) = self.open.take() else { return };
        let target = Arc::clone(&self.target);
        let (asked, copies) = (Box::new(asked), open.copies.get());
        open.intake.send(open.key, Part::Shadow { target, asked, end, copies });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(open) = &self.open else { return };
        if open.sealed.get() {
            self.send(Asked::default(), End::Dropped);
        } else {
            open.copies.set(open.copies.get().saturating_sub(1));
        }
    }
}
