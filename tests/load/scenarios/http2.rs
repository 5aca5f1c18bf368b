//! HTTP/2 over plain TCP with a server of default settings, and clients that try what its limits are for; each scenario is about one of
//! them. Honest clients call on connections of their own meanwhile, and all their calls have to be answered.
//!
//! What one connection may hold is the formula in `alts::http2`, section "Limits"; the constants here are its terms. Buffers of the pool
//! are not part of the heap, and are bounded beside it.

mod server;

use alts::http2::server::ServerBuilder;

use crate::gauges::{Gauges, wait_until};
use crate::helper::Report;
use crate::row::Row;
use crate::scale::Scale;
use crate::tally::{CLOSED, Tally};
use crate::target::Target;
use server::{LIMIT, PROTOCOL, TIMED_OUT, target};

pub(crate) use server::CHUNK;

/// The terms of the formula, in bytes, as the defaults have them.
mod term {
    /// A connection with its task and its registration with tokio, idle.
    pub(super) const IDLE: u64 = 1_100;
    /// What exists while anything is open, beside the other terms: lists, and the copy of a read's rest.
    pub(super) const ACTIVE: u64 = 4 << 10;
    /// An open stream, with its request, its handler and the handler's task.
    pub(super) const STREAM: u64 = 3 << 10;
    /// `max_header_list_size`, for each of the streams, but in bytes of memory.
    pub(super) const LIST: u64 = 16 << 10;
    /// `header_table_size`, and 4 bytes for each of its entries of at least 32.
    pub(super) const TABLE: u64 = 4_096 + 4_096 / 32 * 4;
    /// A header block, before it is decoded. Its memory grows by doubling.
    pub(super) const BLOCK: u64 = 2 * (64 << 10);
    /// A frame of which a part has come.
    pub(super) const FRAME: u64 = 16 << 10;
    /// `connection_window`.
    pub(super) const WINDOW: u64 = 1 << 20;
    /// The part of a stream's content that small payloads are gathered in.
    pub(super) const TAIL: u64 = 4 << 10;
    /// Bytes that wait for the kernel: content, and answers to control frames. Their pages are half full at least.
    pub(super) const UNSENT: u64 = 2 * (64 << 10);
    pub(super) const REPLIES: u64 = 2 * (64 << 10);
    /// Events that wait: 1,024, and those of one read, each with the stream that it is about.
    pub(super) const EVENTS: u64 = 2 * 1_024 * 256;
    /// `max_concurrent_streams`.
    pub(super) const STREAMS: u64 = 100;
}

/// What as many responses hold as there may be, of which some goes out now and then.
const FLIPPED: u64 = term::STREAMS * (term::STREAM + CHUNK as u64) + term::REPLIES + term::UNSENT;
/// What each thread of the runtime keeps, and what the server shares.
const THREADS: u64 = 256 << 10;

/// Peers that go beyond a limit, and what is known of their end.
struct Attack {
    kind: &'static str,
    peers: u64,
    /// What the heap may have for each of them, beside an idle connection and what every active one has.
    heap: u64,
    /// How all of them end; `None` if they are served to the end.
    end: Option<&'static str>,
}

impl Attack {
    fn run(self, row: &mut Row) {
        self.run_with(row, |builder| builder, |_, _, _| ());
    }

    fn run_with(
        self,
        row: &mut Row,
        change: impl FnOnce(ServerBuilder) -> ServerBuilder,
        judge: impl FnOnce(&mut Row, &Target, &Report),
    ) {
        let Self { kind, peers, heap, end } = self;
        let target = target(change);
        let mut warm = target.helper("http2", &["nothing"]);
        warm.ask("run 2");
        drop(warm);
        let gauges = rested(&target);
        let mut helper = target.helper("http2", &[kind]);
        let report = helper.ask(&format!("run {peers}"));
        row.thrown(peers, report.get("bytes"), report.get("messages"));
        row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
        judge(row, &target, &report);
        drop(helper);
        let left = gauges.left();
        // Honest connections are few, and hold no more than the others may.
        let most = THREADS + (peers + 2) * (term::IDLE + term::ACTIVE + heap);
        row.require_at_most("live heap", left.peak.unsigned_abs(), most);
        row.note("server", target.tally.ends());
        if let Some(end) = end {
            row.require_count("ended as they should", target.tally.ended(end), peers);
        } else {
            for end in [LIMIT, PROTOCOL, TIMED_OUT] {
                row.require_count(end, target.tally.ended(end), 0);
            }
        }
        row.left_within(&left, THREADS.cast_signed());
    }
}

/// What there is when all connections have ended, and with them the task that looks after their times.
fn rested(target: &Target) -> Gauges {
    target.wait_until_ended(Tally::get(&target.tally.accepted));
    let tasks = target.runtime.metrics();
    wait_until(|| tasks.num_alive_tasks() == 1);
    target.tally.clear();
    target.gauges()
}

/// Requests that are reset at once, in reads of their own: CVE-2023-44487.
pub(crate) fn resets(row: &mut Row, scale: Scale) {
    let heap = term::EVENTS + term::STREAMS * term::STREAM;
    Attack { kind: "resets", peers: scale.of(2, 20), heap, end: Some(LIMIT) }.run(row);
}

/// Requests that the server is made to reset: CVE-2025-8671.
pub(crate) fn provoked(row: &mut Row, scale: Scale) {
    let heap = term::EVENTS + term::STREAMS * term::STREAM;
    Attack { kind: "provoked", peers: scale.of(2, 20), heap, end: Some(LIMIT) }.run(row);
}

/// Requests beyond the limit of concurrent ones, without end.
pub(crate) fn refused(row: &mut Row, scale: Scale) {
    let heap = term::STREAMS * term::STREAM + term::REPLIES;
    Attack { kind: "refused", peers: scale.of(2, 20), heap, end: Some(LIMIT) }.run(row);
}

/// Header blocks without end: CVE-2024-27316, CVE-2024-28182.
pub(crate) fn continuations(row: &mut Row, scale: Scale) {
    let peers = scale.of(2, 20);
    Attack { kind: "continuations", peers, heap: term::BLOCK, end: Some(LIMIT) }.run(row);
}

/// Header blocks in frames without content.
pub(crate) fn empty_continuations(row: &mut Row, scale: Scale) {
    let peers = scale.of(2, 20);
    Attack { kind: "empty continuations", peers, heap: term::BLOCK, end: Some(LIMIT) }.run(row);
}

/// A value of 4 KiB in the table, and thousands of references of one byte to it.
pub(crate) fn bomb(row: &mut Row, scale: Scale) {
    let heap = term::TABLE + term::LIST;
    Attack { kind: "bomb", peers: scale.of(2, 20), heap, end: Some(LIMIT) }.run(row);
}

/// Full tables of quiet connections.
pub(crate) fn tables(row: &mut Row, scale: Scale) {
    let peers = scale.of(100, 1_000);
    Attack { kind: "tables", peers, heap: term::TABLE, end: None }.run(row);
}

/// As many requests as there may be, each with metadata up to the limit, in fields so small that each takes much more than HTTP/2 counts for it.
pub(crate) fn heads(row: &mut Row, scale: Scale) {
    let heap = term::TABLE + term::STREAMS * (term::STREAM + term::LIST);
    Attack { kind: "heads", peers: scale.of(3, 50), heap, end: None }.run(row);
}

/// Frames of content without content: CVE-2019-9518.
pub(crate) fn empty_data(row: &mut Row, scale: Scale) {
    let heap = term::STREAM;
    Attack { kind: "empty data", peers: scale.of(2, 20), heap, end: Some(LIMIT) }.run(row);
}

/// Windows full of frames of one byte that no handler reads: GHSA-q83h-524g-xf6h.
pub(crate) fn tiny(row: &mut Row, scale: Scale) {
    let heap = term::WINDOW + 4 * (term::STREAM + term::TAIL + (term::WINDOW / term::TAIL) * 40);
    let attack = Attack { kind: "tiny", peers: scale.of(2, 20), heap, end: None };
    attack.run_with(
        row,
        |builder| builder,
        |row, target, _| {
            let most = target.pool().stats().high_water_bytes as u64;
            row.require_at_most("bytes out of the pool", most, (scale.of(2, 20) + 2) * (64 << 10));
        },
    );
}

/// Windows full of large frames that no handler reads. They stay in the pool's buffers, a quarter full at least.
pub(crate) fn unread(row: &mut Row, scale: Scale) {
    let peers = scale.of(3, 30);
    let heap = term::WINDOW + 4 * (term::STREAM + term::TAIL);
    let attack = Attack { kind: "unread", peers, heap, end: None };
    attack.run_with(
        row,
        |builder| builder,
        |row, target, _| {
            let most = target.pool().stats().high_water_bytes as u64;
            let pinned = peers * 4 * term::WINDOW + (peers + 2) * (64 << 10);
            row.require_at_most("bytes out of the pool", most, pinned);
        },
    );
}

/// Frames that are answered, from peers that read the answers; and frames that say nothing.
pub(crate) fn pings(row: &mut Row, scale: Scale) {
    control(row, scale, "pings", term::REPLIES);
}

pub(crate) fn settings(row: &mut Row, scale: Scale) {
    control(row, scale, "settings", term::REPLIES);
}

/// Windows of all open streams, up and down.
pub(crate) fn flips(row: &mut Row, scale: Scale) {
    control(row, scale, "flips", FLIPPED);
}

pub(crate) fn priorities(row: &mut Row, scale: Scale) {
    control(row, scale, "priorities", term::STREAM);
}

pub(crate) fn unknown(row: &mut Row, scale: Scale) {
    control(row, scale, "unknown", term::STREAM);
}

pub(crate) fn credit(row: &mut Row, scale: Scale) {
    control(row, scale, "credit", term::STREAM);
}

/// Frames on streams that are closed.
pub(crate) fn closed(row: &mut Row, scale: Scale) {
    control(row, scale, "closed", term::STREAM);
}

/// Ends that are announced again and again, while a request is open.
pub(crate) fn goaways(row: &mut Row, scale: Scale) {
    control(row, scale, "goaways", term::EVENTS);
}

fn control(row: &mut Row, scale: Scale, kind: &'static str, heap: u64) {
    Attack { kind, peers: scale.of(2, 20), heap, end: Some(LIMIT) }.run(row);
}

/// Windows that become larger than there may be: the stream's ends it, the connection's ends that.
pub(crate) fn overflow(row: &mut Row, scale: Scale) {
    let heap = term::STREAM;
    Attack { kind: "overflow", peers: scale.of(10, 100), heap, end: Some(PROTOCOL) }.run(row);
}

/// Much is asked for, much window is given, and nothing is read. The server gives up when its stall limit is over.
pub(crate) fn never_read(row: &mut Row, scale: Scale) {
    let heap = term::STREAMS * (term::STREAM + 2 * CHUNK as u64) + term::UNSENT + CHUNK as u64;
    let attack = Attack { kind: "never read", peers: scale.of(3, 30), heap, end: Some(TIMED_OUT) };
    attack.run_with(
        row,
        |builder| builder.stall_timeout(std::time::Duration::from_secs(2)),
        |_, _, _| (),
    );
}

/// Much is asked for, and no window is ever given: a piece of each response is held.
pub(crate) fn no_window(row: &mut Row, scale: Scale) {
    let heap = term::STREAMS * (term::STREAM + 2 * CHUNK as u64);
    Attack { kind: "no window", peers: scale.of(3, 30), heap, end: None }.run(row);
}

/// The first half of a frame, and of a preface. The server gives up when the stall limit, or that of the preface, is over.
pub(crate) fn halves(row: &mut Row, scale: Scale) {
    let attack = Attack {
        kind: "halves",
        peers: scale.of(40, 400),
        heap: term::FRAME,
        end: Some(TIMED_OUT),
    };
    attack.run_with(
        row,
        |builder| {
            let limit = std::time::Duration::from_secs(2);
            builder.stall_timeout(limit).preface_timeout(limit)
        },
        |_, _, _| (),
    );
}

/// Honest clients that look like floods, with as many calls as the scenario says: none loses its connection.
fn honest(row: &mut Row, kind: &str, count: u64) {
    let target = target(|builder| builder);
    target.helper("http2", &["nothing"]).ask("run 2");
    let gauges = rested(&target);
    let mut helper = target.helper("http2_honest", &[]);
    let report = helper.ask(&format!("{kind} {count}"));
    row.thrown(1, report.get("bytes"), count);
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    drop(helper);
    let left = gauges.left();
    row.note("server", target.tally.ends());
    row.require_count("connections", Tally::get(&target.tally.accepted), 1);
    row.require_count(LIMIT, target.tally.ended(LIMIT), 0);
    row.require_at_most(
        "failures",
        Tally::get(&target.tally.ended) - target.tally.ended(CLOSED),
        1,
    );
    row.left_within(&left, THREADS.cast_signed());
}

/// Calls begun in earnest and canceled, one after the other, as fast as they can be: 10,000 are allowed at once, and 1,000 a second.
pub(crate) fn cancellations(row: &mut Row, scale: Scale) {
    honest(row, "cancel", scale.of(5_000, 10_000));
}

pub(crate) fn quick_calls(row: &mut Row, scale: Scale) {
    honest(row, "quick", scale.of(10_000, 200_000));
}

/// One call whose content comes and goes in frames of one byte.
pub(crate) fn small_frames(row: &mut Row, scale: Scale) {
    honest(row, "small", scale.of(20_000, 500_000));
}

/// For each small frame of a response, credit for the stream and for the connection, and a PING.
pub(crate) fn eager_credit(row: &mut Row, scale: Scale) {
    honest(row, "eager", scale.of(5_000, 100_000));
}

/// Content that was on its way when its call was answered.
pub(crate) fn late_content(row: &mut Row, scale: Scale) {
    honest(row, "late", scale.of(5_000, 100_000));
}
