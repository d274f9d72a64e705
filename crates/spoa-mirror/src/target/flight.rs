//! A copy under way, as the books and the limit of copies under way count it.

use std::rc::Rc;

use super::Target;

/// Counts one copy as under way for as long as it lives, so that even one that a defect loses does not
/// stay on the books.
pub(super) struct Flight(Rc<Target>);

impl Flight {
    /// Takes off, unless as many are under way as may be.
    pub(super) fn begin(target: &Rc<Target>) -> Option<Self> {
        if !target.shared.take_off() {
            return None;
        }
        target.in_flight.set(target.in_flight.get() + 1);
        Some(Self(Rc::clone(target)))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.shared.land();
        // At the end all are counted as failed that have not landed.
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}
