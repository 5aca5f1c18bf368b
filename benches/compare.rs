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
#[path = "compare/chart.rs"]
mod chart;
#[path = "compare/csv.rs"]
mod csv;
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

use std::error::Error;
use std::fs;
use std::path::Path;

use alts_benches::machine;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use arguments::Arguments;
use csv::Medians;
use lab::Lab;
use samples::Samples;

fn main() -> Result<(), Box<dyn Error>> {
    if roles::play() {
        return Ok(());
    }
    let arguments = Arguments::parse();
    if arguments.draw {
        return draw(&arguments.out);
    }
    let lab = Lab::new(&arguments);
    let samples = measure(&lab, &arguments);
    if samples.series().is_empty() {
        // What cargo was asked for is in another benchmark.
        return Ok(());
    }
    let description = machine::description(lab.congestion.as_deref());
    let targets = description.join("\n") + "\n" + &targets::table(&samples);
    print!("{}\n{targets}", report::tables(&samples));
    if arguments.save {
        fs::create_dir_all(&arguments.out)?;
        let suffix = lab.congestion.map_or(String::new(), |name| format!("-{name}"));
        let file = |stem, extension| arguments.out.join(format!("{stem}{suffix}.{extension}"));
        fs::write(file("compare", "csv"), csv::write(&description, &samples))?;
        fs::write(file("targets", "txt"), targets)?;
        // The charts are of the system as it is.
        if suffix.is_empty() {
            draw(&arguments.out)?;
        }
    }
    Ok(())
}

/// Draws what is in the directory's figures.
fn draw(directory: &Path) -> Result<(), Box<dyn Error>> {
    let medians = Medians::read(&fs::read_to_string(directory.join("compare.csv"))?);
    fs::write(directory.join("idle.svg"), chart::idle(&medians))?;
    fs::write(directory.join("bulk.svg"), chart::bulk(&medians))?;
    Ok(())
}

/// Does all steps. Where nobody sees the bar, a line says what is being done.
fn measure(lab: &Lab, arguments: &Arguments) -> Samples {
    let steps: Vec<_> =
        arguments.scenarios().into_iter().flat_map(|scenario| scenario.steps(lab)).collect();
    let progress = ProgressBar::new(steps.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("a template");
    progress.set_style(style);
    let mut samples = Samples::default();
    for (number, step) in steps.iter().enumerate() {
        progress.set_message(step.label.clone());
        if progress.is_hidden() {
            eprintln!("{}/{} {}", number + 1, steps.len(), step.label);
        }
        (step.run)(lab, &mut samples);
        progress.inc(1);
    }
    progress.finish_and_clear();
    samples
}
