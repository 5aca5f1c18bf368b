//! Log lines on standard error.

use std::collections::HashSet;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// What is logged, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogArguments {
    /// What to log on standard error: off, error, warn, info, debug, trace, or directives such as `info,alts=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Leave lines out. Can be repeated.
    #[arg(long, value_enum, value_name = "WHAT")]
    quiet: Vec<Quiet>,
}

/// The filter takes it for a prefix: no module of this program may have a name that begins so and lines that are not about handshakes.
const HANDSHAKES_QUIET: &str = "alts::connect=error";

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Lines that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Quiet {
    /// All of the others.
    All,
    /// The line at the end of each connection that went well.
    Conns,
    /// The line at the end of each connection that was cut off, or had no target.
    ConnErrs,
    /// The line for each handshake that failed.
    HandshakeErrs,
}

impl LogArguments {
    /// Sets the program's log up.
    pub(crate) fn init(&self) -> Result<(), String> {
        let filter = EnvFilter::try_new(&self.log)
            .map_err(|fault| format!("--log {:?}: {fault}", self.log))?;
        let filter = match self.quiet().contains(&Quiet::HandshakeErrs) {
            // The library reports them.
            true => filter.add_directive(
                HANDSHAKES_QUIET.parse().map_err(|fault: ParseError| fault.to_string())?,
            ),
            false => filter,
        };
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false);
        match self.log_format {
            LogFormat::Text => builder.init(),
            LogFormat::Json => builder.json().flatten_event(true).init(),
        }
        Ok(())
    }

    /// Which lines are left out.
    pub(crate) fn quiet(&self) -> HashSet<Quiet> {
        match self.quiet.contains(&Quiet::All) {
            true => HashSet::from([Quiet::Conns, Quiet::ConnErrs, Quiet::HandshakeErrs]),
            false => self.quiet.iter().copied().collect(),
        }
    }
}
