//! Measuring by turns.

use std::time::Instant;

/// One thing that is measured.
pub(crate) struct Turn<'a> {
    pub(crate) name: &'static str,
    /// What is done before and not measured.
    prepare: Box<dyn FnMut() + 'a>,
    run: Box<dyn FnMut() + 'a>,
    took: Vec<f64>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut() + 'a) -> Self {
        Self::prepared(name, || {}, run)
    }

    pub(crate) fn prepared(
        name: &'static str,
        prepare: impl FnMut() + 'a,
        run: impl FnMut() + 'a,
    ) -> Self {
        Self { name, prepare: Box::new(prepare), run: Box::new(run), took: Vec::new() }
    }

    /// Microseconds: the median of all rounds.
    pub(crate) fn median(&self) -> f64 {
        let mut took = self.took.clone();
        took.sort_by(f64::total_cmp);
        took[took.len() / 2]
    }
}

/// Gives each its turn in each round. Who is first changes, and who comes after whom, since each leaves the caches warm for its like. A tenth
/// of the rounds come before and count for nothing.
pub(crate) fn take(turns: &mut [Turn<'_>], rounds: usize) {
    let warm_up = rounds / 10;
    let count = turns.len();
    let strides: Vec<usize> = (1..count).filter(|&stride| coprime(stride, count)).collect();
    for round in 0..warm_up + rounds {
        let stride = strides[round % strides.len()];
        for place in 0..count {
            let turn = &mut turns[(round / strides.len() + place * stride) % count];
            (turn.prepare)();
            let start = Instant::now();
            (turn.run)();
            let took = start.elapsed().as_secs_f64() * 1e6;
            if round >= warm_up {
                turn.took.push(took);
            }
        }
    }
}

fn coprime(a: usize, b: usize) -> bool {
    match b {
        0 => a == 1,
        _ => coprime(b, a % b),
    }
}
