//! What the tests of several topics need: an agent around a connection, generated input, and ways
//! to cut a stream into pieces.
#![allow(dead_code, unused_imports)] // each test binary uses its own part

mod agent;
pub(crate) mod generate;

pub(crate) use agent::{
    Agent, Answer, Owned, Seen, SeenHello, SeenMessage, answers, answers_due, read_messages,
};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// `stream` in pieces of random lengths, most of them short; the same for the same seed.
pub(crate) fn random_pieces(stream: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut pieces = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let longest = 1usize << random.random_range(0..16);
        let (piece, behind) = rest.split_at(random.random_range(1..=longest).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}
