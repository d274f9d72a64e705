//! A shadow server that answers when the test lets it.

use std::sync::{Arc, Condvar, Mutex};

use testbed::backend::{Behaviour, Recorder, Response};
use testbed::wait;

/// Where requests wait for their answers. Opens by itself when it is dropped.
#[derive(Default)]
pub struct Gate {
    state: Arc<(Mutex<bool>, Condvar)>,
}

/// A server whose answers, `200`, wait for the gate; in this order, so that the gate is dropped first.
pub fn recorder() -> (Recorder, Gate) {
    let gate = Gate::default();
    (Recorder::with(gate.before(Response::ok("late"))), gate)
}

impl Gate {
    /// Answers so once the gate is open.
    pub fn before(&self, response: Response) -> Behaviour {
        let state = Arc::clone(&self.state);
        Behaviour::custom(move |request| {
            let opened = state.0.lock().unwrap();
            drop(state.1.wait_timeout_while(opened, wait::LIMIT, |opened| !*opened).unwrap());
            response.to_bytes(request.method())
        })
    }

    /// Lets all answers out, those to come as well.
    pub fn open(&self) {
        *self.state.0.lock().unwrap() = true;
        self.state.1.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}
