//! spoa-mirror.

fn main() {}
