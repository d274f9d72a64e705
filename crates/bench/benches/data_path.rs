//! How long each step of the data path takes: `cargo bench -p bench`.
#![allow(missing_docs, reason = "the macros of criterion make public functions")]

use criterion::{Criterion, criterion_group, criterion_main};

fn data_path(criterion: &mut Criterion) {
    for mut step in bench::micro::steps() {
        criterion.bench_function(step.name, |bencher| bencher.iter(|| step.run()));
    }
}

criterion_group!(benches, data_path);
criterion_main!(benches);
