//! How the benchmarks in memory are run: by criterion, each for a moment only.

use std::time::Duration;

use criterion::Criterion;

/// Runs a program's benchmarks, unless it is asked for no more than the quick overview: `--quick` means the comparison with
/// other transports, and what takes longer stays out of it.
pub(crate) fn run(benchmarks: &[fn(&mut Criterion)]) {
    if std::env::args().any(|argument| argument == "--quick") {
        println!("{}: not part of --quick", env!("CARGO_CRATE_NAME"));
        return;
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .sample_size(20)
        .nresamples(10_000)
        .without_plots()
        .configure_from_args();
    for benchmark in benchmarks {
        benchmark(&mut criterion);
    }
    criterion.final_summary();
}
