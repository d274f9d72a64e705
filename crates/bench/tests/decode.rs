//! The comparison with the `spop` crate is of the same work, and ours allocates nothing for it. The
//! allocator here counts, thread by thread.

use std::cell::RefCell;

use allocation_counter::measure;
use bench::decode::{our_headers, ours, their_headers, theirs};
use bench::micro::notify;

#[test]
fn both_find_the_same() {
    for headers in [1, 8, 80] {
        let frame = notify(headers);
        let (mut our_parts, mut their_parts) = (Vec::new(), Vec::new());
        ours(&frame, |parts| our_parts.push(parts.map(<[u8]>::to_vec)));
        theirs(&frame, |parts| their_parts.push(parts.map(<[u8]>::to_vec)));
        let [[method, target, block]] = our_parts.as_slice() else { panic!("not one message") };
        assert_eq!(method, b"GET");
        assert!(target.starts_with(b"/some/path"));
        assert!(block.len() > headers * 2);
        assert_eq!(our_parts, their_parts);

        let (our_pairs, their_pairs) = (RefCell::default(), RefCell::default());
        fn push(pairs: &RefCell<Vec<[Vec<u8>; 2]>>, pair: [&[u8]; 2]) {
            pairs.borrow_mut().push(pair.map(<[u8]>::to_vec));
        }
        our_headers(&frame, |parts| push(&our_pairs, parts), |pair| push(&our_pairs, pair));
        their_headers(&frame, |parts| push(&their_pairs, parts), |pair| push(&their_pairs, pair));
        assert_eq!(our_pairs.borrow().len(), 1 + headers);
        assert_eq!(our_pairs, their_pairs);
    }
}

#[test]
fn ours_allocates_nothing_and_theirs_thirteen_times() {
    let frame = notify(8);
    assert_eq!(measure(|| ours(&frame, |_| {})).count_total, 0);
    assert_eq!(measure(|| our_headers(&frame, |_| {}, |_| {})).count_total, 0);
    assert_eq!(measure(|| theirs(&frame, |_| {})).count_total, 13);
    assert_eq!(measure(|| their_headers(&frame, |_| {}, |_| {})).count_total, 15);
}
