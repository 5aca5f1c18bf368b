//! What was found out of one row.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What one connection holds, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) heap: f64,
    pub(crate) resident: f64,
    /// What a quiet bidirectional stream adds to it, with `SmallBufferCodec` and with tonic's own. Not a number where there are no streams.
    pub(crate) small: f64,
    pub(crate) default: f64,
    /// Buffers of all connections that are out of the pool; not a number where there is none.
    pub(crate) buffers: f64,
    /// How long it took to make the connections, with a call on each. Not a number where nobody asks.
    pub(crate) seconds: f64,
}

impl Figures {
    /// On a line that another process reads.
    pub(crate) fn report(&self) {
        let Self { heap, resident, small, default, buffers, seconds } = self;
        println!("{heap} {resident} {small} {default} {buffers} {seconds}");
    }

    pub(crate) fn from_report(report: &str) -> Self {
        let numbers: Vec<f64> =
            report.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [heap, resident, small, default, buffers, seconds] = numbers[..] else {
            panic!("no report: {report}")
        };
        Self { heap, resident, small, default, buffers, seconds }
    }
}

/// In a column, `-` for what there is not.
pub(crate) fn column(figure: f64) -> String {
    if figure.is_nan() { "-".to_owned() } else { format!("{figure:.0}") }
}
