//! A request's walk allocates nothing once buffers have grown: NOTIFY in, ACK out, read, decided, written,
//! and its answer read.

use allocation_counter::measure;
use bench::micro::{COMPARED, steps};

#[test]
fn no_step_of_the_data_path_allocates() {
    let theirs = |name| COMPARED.iter().any(|(_, theirs)| *theirs == name);
    // What a copy is written into and queued in is the copy's own.
    let steps = steps().into_iter().filter(|step| !theirs(step.name) && step.name != "offer-100");
    let mut count = 0;
    for mut step in steps {
        (0..3).for_each(|_| step.run());
        assert_eq!(measure(|| step.run()).count_total, 0, "{}", step.name);
        count += 1;
    }
    assert!(count >= 10, "{count} steps");
}
