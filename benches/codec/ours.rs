//! alts.

use alts::http2::frame::{DEFAULT_MAX_FRAME_SIZE, Data, Head, Headers, Kind, Part, Splitter};
use alts::http2::hpack::{DEFAULT_TABLE_SIZE, Decoder};

use crate::{FRAMES, Peer};

/// The largest list of fields, in bytes.
const LIST: usize = 16 << 10;
/// As the pool's buffers have it.
const BUFFER: usize = 32 << 10;

pub(crate) struct Ours {
    socket: Vec<u8>,
    buffer: Vec<u8>,
    decoder: Decoder,
}

impl Ours {
    pub(crate) fn new(before: &[u8], frame: &[u8]) -> Self {
        let mut this = Self {
            socket: before.to_vec(),
            buffer: vec![0; BUFFER],
            decoder: Decoder::new(DEFAULT_TABLE_SIZE),
        };
        if !before.is_empty() {
            this.run(1);
        }
        this.socket = frame.repeat(FRAMES);
        this
    }
}

impl Peer for Ours {
    fn run(&mut self, frames: usize) -> usize {
        let Self { socket, buffer, decoder } = self;
        let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_SIZE);
        let (mut seen, mut frame, mut head) = (0, 0, None::<Head>);
        // The beginning of a block that a read has cut.
        let mut cut = Vec::new();
        for piece in socket.chunks(BUFFER) {
            buffer[..piece.len()].copy_from_slice(piece);
            let mut input = &buffer[..piece.len()];
            while let Some(part) = splitter.split(&mut input).expect("frames") {
                let payload = match part {
                    Part::Head(begun) => {
                        (head, frame) = (Some(begun), frame + 1);
                        continue;
                    }
                    Part::Payload(payload) => payload,
                };
                let head = head.as_ref().expect("it comes first");
                match head.kind {
                    Kind::Data => {
                        Data::check(head).expect("a frame of a stream");
                        seen += std::hint::black_box(payload).len();
                    }
                    _ => {
                        let mut block = payload;
                        if splitter.remaining() > 0 || !cut.is_empty() {
                            cut.extend_from_slice(payload);
                            if splitter.remaining() > 0 {
                                continue;
                            }
                            block = &cut;
                        }
                        let block = Headers::parse(head, block).expect("a block").fragment;
                        let listed = decoder.decode(block, LIST, |name, value| {
                            seen += name.len() + value.len();
                        });
                        listed.expect("fields");
                        cut.clear();
                    }
                }
            }
        }
        assert_eq!(frame, frames);
        seen
    }
}
