//! What is thrown at the server, one file for each kind.

#[cfg(all(feature = "tonic", feature = "remote", feature = "service"))]
mod callers;
mod claims;
#[cfg(feature = "remote")]
mod daemon;
mod descriptors;
mod flood;
#[cfg(feature = "http2")]
mod http2;
mod identity_files;
mod kept;
mod mappings;
mod never_read;
mod pool_cap;
#[cfg(all(feature = "tonic", feature = "remote", feature = "service"))]
mod remote;
mod resets;
mod returning;
mod slow_loris;
mod soak;
mod together;
#[cfg(feature = "yamux")]
mod yamux;

#[cfg(feature = "yamux")]
pub(crate) use yamux::{HOLD, OPEN, ORPHAN, PING, WANTED};

use crate::row::Row;
use crate::scale::Scale;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    run: fn(&mut Row, Scale),
    /// Whether this build can run it.
    pub(crate) available: fn() -> bool,
}

const fn scenario(name: &'static str, run: fn(&mut Row, Scale)) -> Scenario {
    Scenario { name, run, available: || true }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario("claims: record of 1 MiB", claims::record),
    scenario("claims: first message of 4 KiB", claims::first_message),
    scenario("claims: last message of 32 KiB", claims::last_message),
    scenario("slow loris", slow_loris::run),
    scenario("flood: one source", flood::one_source),
    scenario("flood: many sources", flood::many_sources),
    scenario("flood: one source over its rate", flood::over_the_rate),
    scenario("flood: all places held", flood::all_places_held),
    scenario("flood: a queue of one source", flood::a_queue_of_one_source),
    scenario("together: clients of one address", together::one_address),
    scenario("together: connects of one client", together::one_client),
    #[cfg(feature = "tonic")]
    scenario("together: channels of tonic", together::channels),
    #[cfg(feature = "tonic")]
    scenario("together: channels on this HTTP/2", together::own_channels),
    scenario("never read: sent to", never_read::sent_to),
    scenario("never read: echoed to", never_read::echoed_to),
    scenario("resets: handshakes", resets::handshakes),
    scenario("resets: records", resets::records),
    scenario("returning: no room", returning::no_room),
    scenario("returning: beside full handshakes", returning::beside_full_handshakes),
    scenario("descriptors: an accept loop", descriptors::accept_loop),
    scenario("descriptors: Incoming", descriptors::incoming),
    Scenario {
        name: "descriptors: echo_server",
        run: descriptors::echo_server,
        available: descriptors::echo_server_is_built,
    },
    scenario("identity files", identity_files::run),
    scenario("pool cap: large records", pool_cap::large_records),
    scenario("pool cap: cancelled reads", pool_cap::cancelled_reads),
    #[cfg(all(feature = "tonic", feature = "remote", feature = "service"))]
    scenario("remote: strangers with 8 bytes", remote::eight_bytes),
    #[cfg(all(feature = "tonic", feature = "remote", feature = "service"))]
    scenario("remote: first messages held", remote::first_messages),
    #[cfg(all(feature = "tonic", feature = "remote", feature = "service"))]
    scenario("service: callers that never read", callers::that_never_read),
    #[cfg(all(feature = "tonic", feature = "remote", feature = "service"))]
    scenario("service: callers with more than their share", callers::with_more_than_their_share),
    #[cfg(feature = "remote")]
    Scenario {
        name: "daemon: silent connections",
        run: daemon::silent_connections,
        available: daemon::is_built,
    },
    scenario("kept: by trickles", kept::by_trickles),
    scenario("kept: by slices", kept::by_slices),
    scenario("mappings", mappings::run),
    #[cfg(feature = "http2")]
    scenario("http2: resets", http2::resets),
    #[cfg(feature = "http2")]
    scenario("http2: requests that the server has to reset", http2::provoked),
    #[cfg(feature = "http2")]
    scenario("http2: requests beyond the limit", http2::refused),
    #[cfg(feature = "http2")]
    scenario("http2: blocks without end", http2::continuations),
    #[cfg(feature = "http2")]
    scenario("http2: blocks of empty frames", http2::empty_continuations),
    #[cfg(feature = "http2")]
    scenario("http2: header bombs", http2::bomb),
    #[cfg(feature = "http2")]
    scenario("http2: full tables", http2::tables),
    #[cfg(feature = "http2")]
    scenario("http2: large metadata", http2::heads),
    #[cfg(feature = "http2")]
    scenario("http2: empty content", http2::empty_data),
    #[cfg(feature = "http2")]
    scenario("http2: frames of one byte", http2::tiny),
    #[cfg(feature = "http2")]
    scenario("http2: content that is not read", http2::unread),
    #[cfg(feature = "http2")]
    scenario("http2: pings", http2::pings),
    #[cfg(feature = "http2")]
    scenario("http2: settings", http2::settings),
    #[cfg(feature = "http2")]
    scenario("http2: windows up and down", http2::flips),
    #[cfg(feature = "http2")]
    scenario("http2: priorities", http2::priorities),
    #[cfg(feature = "http2")]
    scenario("http2: unknown frames", http2::unknown),
    #[cfg(feature = "http2")]
    scenario("http2: credit", http2::credit),
    #[cfg(feature = "http2")]
    scenario("http2: closed streams", http2::closed),
    #[cfg(feature = "http2")]
    scenario("http2: ends announced again", http2::goaways),
    #[cfg(feature = "http2")]
    scenario("http2: windows too large", http2::overflow),
    #[cfg(feature = "http2")]
    scenario("http2: responses that are not read", http2::never_read),
    #[cfg(feature = "http2")]
    scenario("http2: no window", http2::no_window),
    #[cfg(feature = "http2")]
    scenario("http2: halves of frames", http2::halves),
    #[cfg(feature = "http2")]
    scenario("http2: honest: cancellations", http2::cancellations),
    #[cfg(feature = "http2")]
    scenario("http2: honest: quick calls", http2::quick_calls),
    #[cfg(feature = "http2")]
    scenario("http2: honest: small frames", http2::small_frames),
    #[cfg(feature = "http2")]
    scenario("http2: honest: eager credit", http2::eager_credit),
    #[cfg(feature = "http2")]
    scenario("http2: honest: late content", http2::late_content),
    #[cfg(feature = "yamux")]
    scenario("yamux: pings", yamux::pings),
    #[cfg(feature = "yamux")]
    scenario("yamux: streams without end", yamux::streams),
    #[cfg(feature = "yamux")]
    scenario("yamux: frames that carry nothing", yamux::empty),
    #[cfg(feature = "yamux")]
    scenario("yamux: streams that are not read", yamux::unread),
    #[cfg(feature = "yamux")]
    scenario("yamux: frames of one byte", yamux::tiny),
    #[cfg(feature = "yamux")]
    scenario("yamux: resets", yamux::churn),
    #[cfg(feature = "yamux")]
    scenario("yamux: streams that are held", yamux::incoming),
    #[cfg(feature = "yamux")]
    scenario("yamux: streams that are not accepted", yamux::backlog),
    #[cfg(feature = "yamux")]
    scenario("yamux: streams that are never acknowledged", yamux::unacked),
    #[cfg(feature = "yamux")]
    scenario("yamux: streams that are never ended", yamux::orphans),
    #[cfg(feature = "yamux")]
    scenario("yamux: pings that are never answered", yamux::unanswered),
    #[cfg(feature = "yamux")]
    scenario("yamux: bytes after the end", yamux::after),
    scenario("soak", soak::run),
];

/// Runs one, in this process, and reports to its parent.
pub(crate) fn run(words: &[String]) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == words[0]);
    let scenario = scenario.expect("a scenario of this name");
    let mut row = Row::new(scenario.name);
    (scenario.run)(&mut row, Scale::parse(&words[1..]));
    row.report();
}
