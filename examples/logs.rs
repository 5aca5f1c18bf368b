//! Logs on standard error.

use std::io;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Writes logs as `RUST_LOG` says, or as `default` does where it is unset or invalid: `info,alts::connect=warn`.
pub(crate) fn start(default: &str) {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|wanted| wanted.parse().ok());
    let targets: Targets =
        wanted.unwrap_or_else(|| default.parse().expect("a list of targets and levels"));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    tracing_subscriber::registry().with(targets).with(lines).init();
}
