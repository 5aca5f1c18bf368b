//! Options, by the names that the peer on hashicorp/yamux has for them.

use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// One side of a yamux session, for interop tests.
#[derive(Debug, Parser)]
#[command(name = "yamux_peer")]
pub(crate) struct Arguments {
    /// Where to listen, or with --do where to connect.
    pub(crate) address: String,
    /// The side of the protocol. [default: the one who connects is the client]
    #[arg(long, value_enum)]
    pub(crate) role: Option<Role>,
    /// What is done with streams that the other side opens.
    #[arg(long, value_enum, default_value_t = Service::Echo)]
    pub(crate) serve: Service,
    /// What this side does with streams of its own.
    #[arg(long = "do", value_enum)]
    pub(crate) action: Option<Action>,
    /// Bytes on each stream; -1 for all up to the end.
    #[arg(short, allow_hyphen_values = true, default_value_t = 1 << 20)]
    pub(crate) n: i64,
    /// Streams at the same time.
    #[arg(long, default_value_t = 1)]
    pub(crate) streams: usize,
    /// Bytes in a write.
    #[arg(long, default_value_t = 64 << 10, value_parser = clap::value_parser!(u32).range(1..=16 << 20))]
    pub(crate) chunk: u32,
    /// Bytes that are read in a second on each stream at most; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u64,
    /// expect-reset: how many streams have to be reset; 0 for all.
    #[arg(long, default_value_t = 0)]
    pub(crate) resets: usize,
    /// The window of a stream, in bytes.
    #[arg(long, default_value_t = 256 << 10)]
    pub(crate) window: u32,
    /// Streams that may wait to be accepted.
    #[arg(long, default_value_t = 256)]
    pub(crate) backlog: u32,
    /// How often to ask a silent peer for a sign of life: 500ms, 30s; 0s for never.
    #[arg(long, default_value = "0s")]
    pub(crate) keepalive: Time,
    /// idle: how long to stay.
    #[arg(long, default_value = "0s")]
    pub(crate) stay: Time,
    /// How long streams may take to end when all is done.
    #[arg(long, default_value = "1s")]
    pub(crate) grace: Time,
    /// How long all of it may take.
    #[arg(long, default_value = "60s")]
    pub(crate) limit: Time,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Service {
    /// Sends back what comes.
    Echo,
    /// Takes -n bytes and answers with their number.
    Sink,
    /// Sends -n bytes.
    Source,
    /// Reads to the end, then sends -n bytes.
    Half,
    /// Accepts and never reads.
    Hold,
    /// Resets the stream after -n bytes.
    Reset,
    /// Says GoAway at the first stream, and echoes it.
    Goaway,
    /// Never accepts.
    Deaf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Action {
    /// Each stream comes back.
    Echo,
    /// A sink counts what it got.
    Upload,
    /// A source sends -n bytes and ends.
    Download,
    /// The other side sends -n bytes after this side's end.
    Half,
    /// All open at the same time, a byte each.
    Many,
    /// Resets each stream after -n bytes; a new one works.
    Reset,
    /// The other side resets them.
    ExpectReset,
    /// The other side says GoAway: no more streams, the first one goes on.
    Refused,
    /// The other side takes -n bytes and no more.
    Window,
    /// -n pings, --streams at a time.
    Ping,
    /// This side says GoAway, and goes on.
    Goaway,
    /// Echoes, and then nothing for --stay.
    Idle,
}

/// A time as Go writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub(crate) Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no time; write 500ms or 30s");
        let (number, unit) = match text.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (text.strip_suffix('s').unwrap_or(text), 1_000),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(|millis| Self(Duration::from_millis(millis))).ok_or_else(wrong)
    }
}

/// Go's programs take long options with one dash.
pub(crate) fn with_two_dashes(words: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    words.map(|word| {
        let long = word.strip_prefix('-').is_some_and(|rest| {
            rest.len() > 1 && rest.starts_with(|first: char| first.is_ascii_alphabetic())
        });
        if long { format!("-{word}") } else { word }
    })
}
