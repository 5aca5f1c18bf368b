//! Both directions of a session, as what they mean.

use std::collections::{HashMap, VecDeque};

use alts_nbd::wire::Errno;
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::hello::Hello;
use alts_nbd::wire::option::{OptionHeader, number};
use alts_nbd::wire::option_reply::{EXPORT_NAME_PADDING, ExportInfo, OptionReplyHeader, ReplyType};
use alts_nbd::wire::reply::{ChunkType, ErrorChunk, ReplyHeader, decode_block_status, decode_hole};
use alts_nbd::wire::request::{Command, Request};

/// A session.
pub(crate) struct Transcript {
    /// Options with their replies; those of `EXPORT_NAME` are one `Info`.
    pub(crate) options: Vec<(u32, OptionReplies)>,
    /// Requests with what was answered.
    pub(crate) requests: Vec<(Request, Answer)>,
}

pub(crate) type OptionReplies = Vec<(ReplyType, Vec<u8>)>;

/// What a reply says, however it says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) error: Option<u32>,
    /// Of a read.
    pub(crate) data: Vec<u8>,
    pub(crate) extents: Vec<(u32, u32)>,
    /// Chunks of contents.
    pub(crate) chunks: usize,
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> &'a [u8; N] {
        self.take(N).try_into().expect("so many were taken")
    }
}

impl Transcript {
    pub(crate) fn new(client: &[u8], server: &[u8]) -> Self {
        let (mut client, mut server) = (Bytes(client), Bytes(server));
        Hello::decode(server.array()).expect("a hello");
        let flags = client.array::<4>();
        let mut options = Vec::new();
        let mut transmits = false;
        while !transmits && !client.0.is_empty() {
            let header = OptionHeader::decode(client.array()).expect("an option");
            client.take(header.len as usize);
            let replies = if header.number == number::EXPORT_NAME {
                let info = server.take(ExportInfo::LEN);
                server.take(if flags[3] & 2 == 0 { EXPORT_NAME_PADDING } else { 0 });
                transmits = true;
                vec![(ReplyType::Info, info.to_vec())]
            } else {
                let replies = option_replies(&mut server);
                let last = replies.last().expect("a reply").0;
                transmits = header.number == number::GO && last == ReplyType::Ack;
                replies
            };
            options.push((header.number, replies));
        }
        let mut requests = Vec::new();
        while !client.0.is_empty() {
            let request = Request::decode(client.array()).expect("a request");
            client.take(request.payload_len() as usize);
            if request.command == Command::Disconnect {
                break;
            }
            requests.push(request);
        }
        let mut answers = answers(&mut server, &requests);
        let requests = requests.into_iter().map(|request| {
            let queue = answers.get_mut(&request.cookie).expect("an answer");
            (request, queue.pop_front().expect("an answer"))
        });
        Self { options, requests: requests.collect() }
    }
}

fn option_replies(server: &mut Bytes<'_>) -> OptionReplies {
    let mut replies = Vec::new();
    loop {
        let header = OptionReplyHeader::decode(server.array()).expect("a reply");
        replies.push((header.reply, server.take(header.len as usize).to_vec()));
        if matches!(header.reply, ReplyType::Ack | ReplyType::Error(_)) {
            return replies;
        }
    }
}

/// The answers by their cookies, which may be used again.
fn answers(server: &mut Bytes<'_>, requests: &[Request]) -> HashMap<u64, VecDeque<Answer>> {
    let mut complete: HashMap<u64, VecDeque<Answer>> = HashMap::new();
    let mut partial: HashMap<u64, Answer> = HashMap::new();
    while !server.0.is_empty() {
        let magic = [server.0[0], server.0[1], server.0[2], server.0[3]];
        let header = server.take(ReplyHeader::len_of(magic).expect("a reply"));
        let (cookie, done) = match ReplyHeader::decode(header).expect("a reply") {
            ReplyHeader::Simple(reply) => (reply.cookie, true),
            ReplyHeader::Chunk(chunk) => (chunk.cookie, chunk.done),
        };
        let nth = complete.get(&cookie).map_or(0, VecDeque::len);
        let mut same = requests.iter().filter(|request| request.cookie == cookie);
        let request = same.nth(nth).expect("a request with this cookie");
        let answer = partial.entry(cookie).or_default();
        match ReplyHeader::decode(header).expect("a reply") {
            ReplyHeader::Simple(reply) => {
                answer.error = reply.error.map(Errno::code);
                if answer.error.is_none() && request.command == Command::Read {
                    answer.data = server.take(request.len as usize).to_vec();
                }
            }
            ReplyHeader::Chunk(chunk) => {
                let contents = server.take(chunk.len as usize);
                answer.add(request, chunk.kind, contents);
            }
        }
        if done {
            let answer = partial.remove(&cookie).expect("just begun");
            complete.entry(cookie).or_default().push_back(answer);
        }
    }
    assert!(partial.is_empty(), "every reply ends");
    complete
}

impl Answer {
    fn add(&mut self, request: &Request, kind: ChunkType, contents: &[u8]) {
        let mut put = |offset: u64, data: &[u8]| {
            let at = (offset - request.offset) as usize;
            self.data.resize(request.len as usize, 0);
            self.data[at..at + data.len()].copy_from_slice(data);
            self.chunks += 1;
            let one = request.flags.contains(CommandFlags::DF);
            assert!(!one || self.chunks == 1, "one chunk was asked for");
        };
        match kind {
            ChunkType::None => {}
            ChunkType::OffsetData => {
                let offset = u64::from_be_bytes(contents[..8].try_into().expect("8 of 8"));
                put(offset, &contents[8..]);
            }
            ChunkType::OffsetHole => {
                let (offset, len) = decode_hole(contents).expect("a hole");
                put(offset, &vec![0; len as usize]);
            }
            ChunkType::BlockStatus => {
                let (_, extents) = decode_block_status(contents).expect("extents");
                let extents = extents.iter().map(|extent| (extent.len, extent.flags.0));
                self.extents.extend(extents);
            }
            kind => {
                let error = ErrorChunk::decode(kind, contents).expect("an error");
                self.error = Some(error.error.code());
            }
        }
    }
}
