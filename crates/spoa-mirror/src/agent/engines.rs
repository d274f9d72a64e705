//! Which HAProxy engines are connected now. A HELLO does not tell HAProxy's version: only the SPOP
//! versions that it speaks, and an id of the process (3.1 and later) or of the thread (up to 3.0).
//! Touched when a connection begins and when it ends, never for a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spop_proto::Hello;

/// Engines that are told apart; connections of more are counted together.
const MAX_ENGINES: usize = 64;

/// Characters of a name that are kept.
const MAX_NAME: usize = 64;

/// An engine with connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its id, or `other` for all those over the limit together.
    pub id: String,
    /// The SPOP versions that it offers, or `other`.
    pub versions: String,
    /// Connections that it has open.
    pub open: u64,
}

/// The engines that are connected, over all workers.
#[derive(Debug, Default)]
pub(super) struct Engines {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    engines: Vec<Engine>,
    /// Connections of engines over the limit.
    others: u64,
}

/// Counts a connection as open while it lives.
#[derive(Debug)]
pub(super) struct Seat {
    engines: Arc<Engines>,
    /// Id and versions; none for an engine over the limit.
    name: Option<(String, String)>,
}

impl Engines {
    /// Counts a connection that said HELLO.
    pub(super) fn enter(self: &Arc<Self>, hello: &Hello<'_>) -> Seat {
        let id = printable(hello.engine_id.unwrap_or_default());
        let versions = printable(hello.versions);
        let mut known = self.lock();
        let seat = |name| Seat { engines: Arc::clone(self), name };
        if let Some(engine) = known.engines.iter_mut().find(|engine| engine.is(&id, &versions)) {
            engine.open += 1;
        } else if known.engines.len() < MAX_ENGINES {
            known.engines.push(Engine { id: id.clone(), versions: versions.clone(), open: 1 });
        } else {
            known.others += 1;
            return seat(None);
        }
        seat(Some((id, versions)))
    }

    /// Those that have connections.
    pub(super) fn list(&self) -> Vec<Engine> {
        let known = self.lock();
        let mut engines = known.engines.clone();
        if known.others > 0 {
            let other = || "other".to_owned();
            engines.push(Engine { id: other(), versions: other(), open: known.others });
        }
        engines
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held; were it otherwise, the numbers would still be numbers.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    fn is(&self, id: &str, versions: &str) -> bool {
        self.id == id && self.versions == versions
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut known = self.engines.lock();
        let Some((id, versions)) = &self.name else {
            known.others -= 1;
            return;
        };
        if let Some(engine) = known.engines.iter_mut().find(|engine| engine.is(id, versions)) {
            engine.open -= 1;
        }
        known.engines.retain(|engine| engine.open > 0);
    }
}

/// A name as a label: what is not printable ASCII is replaced, and what is too long is cut.
fn printable(bytes: &[u8]) -> String {
    let shown = |&byte: &u8| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '?' };
    bytes.iter().take(MAX_NAME).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(id: &[u8]) -> Hello<'_> {
        Hello {
            versions: b"2.0",
            max_frame_size: 16380,
            capabilities: spop_proto::Capabilities::default(),
            engine_id: Some(id),
            healthcheck: false,
        }
    }

    fn total(engines: &Engines) -> u64 {
        engines.list().iter().map(|engine| engine.open).sum()
    }

    #[test]
    fn an_engine_is_listed_while_it_has_connections() {
        let engines = Arc::new(Engines::default());
        let first = engines.enter(&hello(b"a\xff"));
        let second = engines.enter(&hello(b"a\xff"));
        let expected = Engine { id: "a?".to_owned(), versions: "2.0".to_owned(), open: 2 };
        assert_eq!(engines.list(), [expected]);
        drop(first);
        assert_eq!(total(&engines), 1);
        drop(second);
        assert!(engines.list().is_empty());
    }

    #[test]
    fn more_engines_than_are_told_apart_count_together() {
        let engines = Arc::new(Engines::default());
        let names: Vec<String> = (0..200).map(|number| format!("engine-{number}")).collect();
        let mut seats: Vec<Seat> =
            names.iter().map(|name| engines.enter(&hello(name.as_bytes()))).collect();
        assert_eq!((engines.list().len(), total(&engines)), (MAX_ENGINES + 1, 200));
        // One that is told apart goes, and later comes back in the place of another.
        seats.remove(0);
        seats.push(engines.enter(&hello(b"new")));
        assert_eq!(total(&engines), 200);
        seats.drain(..100);
        assert_eq!(total(&engines), 100);
        seats.push(engines.enter(&hello(b"newer")));
        assert_eq!(total(&engines), 101);
        drop(seats);
        assert!(engines.list().is_empty());
    }
}
