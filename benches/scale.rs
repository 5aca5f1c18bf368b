//! Opens as many idle connections as this machine allows, and says what each holds: in the server, in the client, in the kernel.
//! The point is the line: what a connection costs must not depend on how many there are.
//!
//! ```text
//! cargo bench -p alts-benches --bench scale -- --connections 1000,10000,100000
//! cargo bench -p alts-benches --bench scale -- --help
//! ```
//!
//! Connections are spread over pairs of processes, a server and its clients, because descriptors are limited by process; each
//! server has a loopback address of its own, because ports are limited by address.

#[path = "scale/arguments.rs"]
mod arguments;
#[path = "scale/child.rs"]
mod child;
#[path = "scale/held.rs"]
mod held;
#[path = "scale/hold.rs"]
mod hold;
#[path = "scale/identity.rs"]
mod identity;
#[path = "scale/identity_arguments.rs"]
mod identity_arguments;
#[path = "scale/kernel.rs"]
mod kernel;
#[path = "scale/limits.rs"]
mod limits;
#[path = "scale/measure.rs"]
mod measure;
#[path = "scale/report.rs"]
mod report;
#[path = "scale/server.rs"]
mod server;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Role};
use limits::Limits;
use report::Report;

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.leave_this_out() {
        println!("scale: left out");
        return ExitCode::SUCCESS;
    }
    let done = match arguments.role {
        Some(Role::Server(server)) => server::serve(&server).map(|()| true),
        Some(Role::Hold(hold)) => hold::hold(hold).map(|()| true),
        Some(Role::Identities { directory }) => {
            alts_benches::identity::write(&directory);
            Ok(true)
        }
        Some(Role::Draw { file }) => report::draw_again(&file).map(|()| true),
        None => compare_sizes(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures each size by itself, and answers whether all of them were reached.
fn compare_sizes(arguments: &Arguments) -> Result<bool, Error> {
    let limits = Limits::of_this_machine().with_per_process(arguments.per_process);
    let directory = tempfile::tempdir()?;
    alts_benches::identity::write(directory.path());
    let mut report = Report::new();
    let mut all = true;
    for &wanted in &arguments.connections {
        let possible = limits.possible(wanted);
        if let Some(why) = &possible.why {
            all = false;
            eprintln!("{wanted} connections: {why}");
        }
        if possible.connections == 0 {
            continue;
        }
        let measured = measure::measure(possible.connections, &limits, directory.path())?;
        if let Some(why) = &measured.stopped {
            all = false;
            eprintln!("{wanted} connections: stopped at {}: {why}", measured.row.connections);
        }
        report.add(measured.row);
    }
    if report.is_empty() {
        return Err("nothing was measured".into());
    }
    print!("{}", if arguments.csv { report.csv() } else { report.table() });
    if let Some(path) = &arguments.save {
        report.save(path)?;
    }
    Ok(all)
}
