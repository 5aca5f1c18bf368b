//! What each kind of hostile client sends.

use alts::http2::frame::{Kind, PREFACE, Setting, Settings, flag};
use alts::http2::hpack::encode;

use super::frames::{credit, data, frame, go_away, ping, request, request_with};

/// Data of the PING that comes last.
pub(super) const DONE: [u8; 8] = *b"all done";

/// Concurrent requests that the server takes.
const STREAMS: u32 = 100;
/// Frames of a kind that are sent at a time.
const ROUND: u32 = 500;
/// A frame's largest payload, in bytes.
const FRAME: usize = 16 << 10;
/// The server's window for a stream, and for a connection, in bytes.
const WINDOW: usize = 256 << 10;
const CONNECTION_WINDOW: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kinds {
    Nothing,
    Resets,
    Provoked,
    Refused,
    Continuations,
    EmptyContinuations,
    Bomb,
    Tables,
    Heads,
    EmptyData,
    Tiny,
    Unread,
    Pings,
    Settings,
    Flips,
    Priorities,
    Unknown,
    Credit,
    Closed,
    GoAways,
    Overflow,
    NeverRead,
    NoWindow,
    Halves,
}

/// One connection's.
pub(super) struct Attack {
    kind: Kinds,
    round: u32,
    /// The next stream.
    stream: u32,
}

impl Attack {
    pub(super) fn new(kind: &str) -> Self {
        let kind = match kind {
            "nothing" => Kinds::Nothing,
            "resets" => Kinds::Resets,
            "provoked" => Kinds::Provoked,
            "refused" => Kinds::Refused,
            "continuations" => Kinds::Continuations,
            "empty continuations" => Kinds::EmptyContinuations,
            "bomb" => Kinds::Bomb,
            "tables" => Kinds::Tables,
            "heads" => Kinds::Heads,
            "empty data" => Kinds::EmptyData,
            "tiny" => Kinds::Tiny,
            "unread" => Kinds::Unread,
            "pings" => Kinds::Pings,
            "settings" => Kinds::Settings,
            "flips" => Kinds::Flips,
            "priorities" => Kinds::Priorities,
            "unknown" => Kinds::Unknown,
            "credit" => Kinds::Credit,
            "closed" => Kinds::Closed,
            "goaways" => Kinds::GoAways,
            "overflow" => Kinds::Overflow,
            "never read" => Kinds::NeverRead,
            "no window" => Kinds::NoWindow,
            "halves" => Kinds::Halves,
            kind => panic!("{kind} is no kind"),
        };
        Self { kind, round: 0, stream: 1 }
    }

    /// Whether it reads what the server sends.
    pub(super) fn reads(&self) -> bool {
        self.kind != Kinds::NeverRead
    }

    /// Whether it begins as a client does.
    pub(super) fn greets(&self) -> bool {
        self.kind != Kinds::Halves
    }

    /// The window that it gives the server, for each stream and for the connection; `None` is the default.
    pub(super) fn window(&self) -> Option<u32> {
        match self.kind {
            Kinds::NeverRead => Some(1 << 30),
            Kinds::NoWindow => Some(0),
            _ => None,
        }
    }

    /// Whether the server answers to the end. Otherwise it closes the connection.
    pub(super) fn is_answered(&self) -> bool {
        use Kinds::{Heads, NoWindow, Nothing, Tables, Tiny, Unread};
        matches!(self.kind, Nothing | Tables | Heads | Tiny | Unread | NoWindow)
    }

    fn new_stream(&mut self) -> u32 {
        self.stream += 2;
        self.stream - 2
    }

    /// So many requests, each followed by something.
    fn requests(&mut self, count: u32, path: &str, then: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            let stream = self.new_stream();
            bytes.extend(request(stream, path, false));
            bytes.extend(then(stream));
        }
        bytes
    }

    /// What is sent next, and how many frames it is; `None` if that was all.
    pub(super) fn next(&mut self) -> Option<(Vec<u8>, usize)> {
        self.round += 1;
        let first = self.round == 1;
        let round = ROUND as usize;
        let mut opened = match self.kind {
            Kinds::Flips if first => self.requests(STREAMS, "/endless", |_| Vec::new()),
            // Without an open stream one GOAWAY is the end.
            Kinds::EmptyData | Kinds::Credit | Kinds::GoAways if first => {
                self.requests(1, "/hold", |_| Vec::new())
            }
            _ => Vec::new(),
        };
        let (bytes, count) = match self.kind {
            // The server sees one of both at a time, most often: the rest is on its way.
            Kinds::Resets => {
                let reset = |stream| frame(Kind::Reset, 0, stream, &8_u32.to_be_bytes());
                (self.requests(ROUND, "/hold", reset), 2 * round)
            }
            Kinds::Provoked => {
                let zero = |stream| frame(Kind::WindowUpdate, 0, stream, &[0; 4]);
                (self.requests(ROUND, "/hold", zero), 2 * round)
            }
            Kinds::Refused => (self.requests(ROUND, "/hold", |_| Vec::new()), round),
            Kinds::Continuations => (self.block(&[b'x'; 8_000]), 100),
            Kinds::EmptyContinuations => (self.block(&[]), 100),
            Kinds::Bomb => (self.bomb(), 1),
            Kinds::Tables if first => (self.full_table(), 1),
            Kinds::Heads if (1..=STREAMS).contains(&self.round) => (self.large_head(), 1),
            Kinds::EmptyData => (frame(Kind::Data, 0, 1, &[]).repeat(round), round),
            Kinds::Tiny if self.round <= 4 => {
                // Padding does not count, so the window is what a frame's content is.
                let frames = WINDOW - if self.round == 4 { 64 } else { 0 };
                (self.requests(1, "/hold", |stream| data(stream, b"?").repeat(frames)), frames)
            }
            Kinds::Unread if self.round as usize <= CONNECTION_WINDOW / WINDOW => {
                let frames = WINDOW / FRAME;
                let content = |stream| data(stream, &[7; FRAME]).repeat(frames);
                (self.requests(1, "/hold", content), frames)
            }
            Kinds::Pings => (ping(*b"and now?").repeat(round), round),
            Kinds::Settings => (settings(&[]).repeat(round), round),
            Kinds::Flips => {
                let flip = [0, 100].map(|size| settings(&[Setting::InitialWindowSize(size)]));
                (flip.concat().repeat(round / 2), round)
            }
            Kinds::Priorities => {
                (frame(Kind::Priority, 0, 1, &[0, 0, 0, 3, 7]).repeat(round), round)
            }
            Kinds::Unknown => (frame(Kind::Unknown(0xAA), 0, 0, &[7; 10]).repeat(round), round),
            Kinds::Credit => (credit(1, 1).repeat(round), round),
            Kinds::Closed if first => (self.requests(1, "/quick", |_| Vec::new()), 1),
            Kinds::Closed => (frame(Kind::Reset, 0, 1, &[0; 4]).repeat(round), round),
            Kinds::GoAways => (go_away().repeat(round), round),
            Kinds::Overflow if first => {
                let all = credit(1, i32::MAX.cast_unsigned());
                let bytes = [request(1, "/hold", false), all, credit(0, i32::MAX.cast_unsigned())];
                (bytes.concat(), 3)
            }
            Kinds::NeverRead | Kinds::NoWindow if first => {
                (self.requests(STREAMS, "/endless", |_| Vec::new()), STREAMS as usize)
            }
            // Every other one has not even said that it speaks HTTP/2.
            Kinds::Halves if first => {
                let half = frame(Kind::Headers, flag::END_HEADERS, 1, &vec![0; FRAME]);
                (half_greeting(&half[..FRAME - 100]), 1)
            }
            _ => return None,
        };
        opened.extend(bytes);
        Some((opened, count))
    }

    /// A header block that does not end.
    fn block(&mut self, part: &[u8]) -> Vec<u8> {
        if self.round > 1 {
            return frame(Kind::Continuation, 0, 1, part).repeat(100);
        }
        frame(Kind::Headers, 0, self.new_stream(), &[])
    }

    /// A value of 4,000 bytes, and references to it in all that a frame has room for.
    fn bomb(&mut self) -> Vec<u8> {
        let indexed = |bytes: &mut Vec<u8>| {
            insert(bytes, b"bomb", &[b'x'; 4_000]);
            // The first entry after the static ones.
            bytes.resize(FRAME - 100, 0x80 + 62);
        };
        request_with(self.new_stream(), "/quick", indexed, true)
    }

    /// A request that fills the table with as many entries as it can have.
    fn full_table(&mut self) -> Vec<u8> {
        let fill = |bytes: &mut Vec<u8>| {
            for at in 0..130 {
                insert(bytes, b"", &[b'a' + at % 26]);
            }
        };
        // Names must not be empty; the stream is reset, and the table is full all the same.
        request_with(self.new_stream(), "/quick", fill, true)
    }

    fn large_head(&mut self) -> Vec<u8> {
        let fields = |bytes: &mut Vec<u8>| {
            for first in b'a'..b's' {
                for second in b'a'..=b'z' {
                    encode::field(bytes, &[first, second], b"");
                }
            }
        };
        request_with(self.new_stream(), "/hold", fields, false)
    }
}

/// A literal with a new name that goes into the table.
fn insert(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    bytes.push(0x40);
    for text in [name, value] {
        match text.len() {
            len @ ..127 => bytes.push(len as u8),
            len => {
                let rest = len - 127;
                bytes.extend([127, 0x80 | (rest % 128) as u8, (rest / 128) as u8]);
            }
        }
        bytes.extend_from_slice(text);
    }
}

fn settings(settings: &[Setting]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Settings::write(settings, &mut bytes);
    bytes
}

/// Counts calls, so that each second connection is cut in its preface and the others in a frame.
fn half_greeting(half_frame: &[u8]) -> Vec<u8> {
    use std::sync::atomic::{AtomicBool, Ordering};
    static PREFACE_ONLY: AtomicBool = AtomicBool::new(false);
    if PREFACE_ONLY.fetch_xor(true, Ordering::Relaxed) {
        return PREFACE[..PREFACE.len() / 2].to_vec();
    }
    [super::frames::hello(None).as_slice(), half_frame].concat()
}
