//! alts beside plain TCP and TLS, each in processes of its own: memory, throughput, latency, handshakes, and how far the figures
//! are from the targets.
//!
//! ```text
//! cargo bench -p alts-benches --bench compare             # -- --help says more
//! cargo bench -p alts-benches --bench compare -- --quick
//! ```
//!
//! How to read and to extend it: `benches/results/README.md`.

#[path = "compare/arguments.rs"]
mod arguments;
#[path = "idle_grpc/certificates.rs"]
mod certificates;
#[path = "compare/lab.rs"]
mod lab;
#[path = "compare/process.rs"]
mod process;
#[path = "compare/report.rs"]
mod report;
#[path = "compare/roles/mod.rs"]
mod roles;
#[path = "compare/samples.rs"]
mod samples;
#[path = "compare/scenarios/mod.rs"]
mod scenarios;
#[path = "compare/targets.rs"]
mod targets;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use arguments::Arguments;
use lab::Lab;
use samples::Samples;

fn main() {
    if roles::play() {
        return;
    }
    let arguments = Arguments::parse();
    let lab = Lab::new(&arguments);
    let samples = measure(&lab, &arguments);
    print!("{}", report::tables(&samples));
    print!("{}", targets::table(&samples));
}

fn measure(lab: &Lab, arguments: &Arguments) -> Samples {
    let steps: Vec<_> =
        arguments.scenarios().into_iter().flat_map(|scenario| scenario.steps(lab)).collect();
    let progress = ProgressBar::new(steps.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("a template");
    progress.set_style(style);
    let mut samples = Samples::default();
    for step in &steps {
        progress.set_message(step.label.clone());
        (step.run)(lab, &mut samples);
        progress.inc(1);
    }
    progress.finish_and_clear();
    samples
}
