//! Every limit of a session, with its default and the reason for it.
//!
//! # What a session can hold
//!
//! ```text
//!  received and unread    at most max_held (32 MiB), and for each stream its window and a chunk: 512 KiB, and 32 KiB for small bodies or 128 KiB for a read in bulk
//!  waiting to be sent     two batches of 128 KiB; 1,024 answers of 12 bytes, and those to one read; resets of dropped streams, of the peer's at most as many as it may have open
//!  being read             one buffer of at most 128 KiB
//!  streams                about 150 bytes each: 1,024 that the peer opened, and as many as this side opens
//! ```
//!
//! So the bytes of a session are at most `max_held + 5 * 128 KiB + 180 B * streams`. What is received comes from the pool, within
//! its cap; what is sent does not count towards it, as with every writer.

use std::time::Duration;

/// The credit of each direction of a new stream, in bytes: 256 KiB. The protocol's; it cannot be refused, only reset.
pub(super) const INITIAL_WINDOW: u32 = 256 << 10;
/// The window of a stream unless set, in bytes: 512 KiB. Half of it is granted at a time, and so half as many grants are sent and received as
/// with the protocol's own 256 KiB, which saves almost half of the system calls of a transfer in bulk.
pub(super) const WINDOW: u32 = 512 << 10;
/// The largest window that may be configured, in bytes: 16 MiB, the most that libp2p's Go implementation grows to. A long, fast path of
/// 100 ms needs it for 1.3 Gbit/s on one stream.
pub(super) const MAX_WINDOW: u32 = 16 << 20;
/// What all windows of a session may have beyond their first size because they grew: 16 MiB, half of `MAX_HELD`.
pub(super) const GROWTH: u32 = 16 << 20;
/// A path that is faster than this to and fro gains nothing from a larger window: 256 KiB a millisecond are 2 Gbit/s, and bytes in
/// flight that leave the processor's cache cost more than the wait.
pub(super) const MIN_RTT_FOR_GROWTH: Duration = Duration::from_millis(1);

/// Streams that the peer may have open: 1,024, as libp2p's Go implementation. One more is reset.
pub(super) const MAX_INCOMING: u32 = 1_024;
/// Streams that wait to be accepted: 256, as hashicorp's. One more is reset.
pub(super) const BACKLOG: u32 = 256;
/// Streams of this side that the peer has not acknowledged: 256, as all implementations have it. `open` waits then.
pub(super) const MAX_UNACKED: u32 = 256;
/// Streams that this side has closed and dropped and the peer has not ended: 256. One more is reset.
pub(super) const MAX_ORPHANS: u32 = 256;
/// Pings of this side that wait for their answers: 256; one more waits for its turn.
pub(super) const MAX_PINGS: usize = 256;

/// Bytes of a body that this side sends at most: 64 KiB. rust-yamux ends a connection at more than 1 MiB, and other streams wait for
/// the end of a frame.
pub(super) const MAX_FRAME: u32 = 64 << 10;
/// What is written to the connection at once, in bytes: 128 KiB, two frames of 64 KiB. There are two such batches: one that is being sent and
/// one that is being filled.
pub(super) const BATCH: usize = 128 << 10;
/// The largest read, in bytes: two frames of 64 KiB with their headers fit the 512 bytes that a buffer has beyond this.
pub(super) const MAX_READ: usize = 128 << 10;
/// Small bodies are joined in chunks of up to so many bytes: 32 KiB.
pub(super) const MAX_CHUNK: usize = 32 << 10;
/// A grant smaller than this, in bytes, waits while other data is still to be sent, so that a header does not go with each byte.
pub(super) const SMALL_GRANT: u32 = 2 << 10;

/// Answers to frames of the peer that wait to be sent, pongs and resets: 1,024, and those to the rest of the same read, which is small where there
/// are few bodies. Then nothing is read until they have gone. Two honest ends never come to that both at once, which would be a deadlock: one
/// has 257 pings on their way at most, 256 streams that can be refused, and 256 that it has sent on and the other has dropped.
pub(super) const MAX_ANSWERS: usize = 1_024;
/// Frames in one second that carry nothing (pings, empty Data, grants of nothing, resets, ACK and FIN once more, refused or unknown
/// streams) before the session ends: 131,072. Honest peers stay far below; a flood is ten times faster.
pub(super) const MAX_EMPTY_FRAMES: u32 = 128 << 10;
/// Memory of received bytes that no stream has read, in bytes: 32 MiB, an eighth of a pool's default cap.
pub(super) const MAX_HELD: usize = 32 << 20;
/// How long the body of a frame waits for a buffer at the pool's cap, before its stream is reset so that the frames behind it can be
/// read: 1 s.
pub(super) const MEMORY_PATIENCE: Duration = Duration::from_secs(1);
/// How often credit that was withheld for lack of memory is looked at again: every 50 ms.
pub(super) const WITHHELD_AGAIN: Duration = Duration::from_millis(50);

/// A ping is sent when nothing was received for so long: 30 s, as by the other implementations.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The session ends when nothing was received for so long after that: 10 s.
pub(super) const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);
/// The session ends when the connection takes no byte for so long: 30 s. Slow paths take less than a batch in ten.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// What still comes after the last frame was sent is read and dropped for so long: 1 s. A socket closed over unread bytes would
/// take the GoAway back.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// The most that is dropped then, in bytes: 4 MiB, what sockets buffer.
pub(super) const LINGER_BYTES: usize = 4 << 20;
/// How old a round-trip time may be before it is measured again for the growth of a window: 10 s.
pub(super) const RTT_AGE: Duration = Duration::from_secs(10);
/// The smallest read, in bytes, however quiet the peer is: 4 KiB, the pool's smallest buffer.
pub(super) const MIN_READ: usize = 4 << 10;
