//! Every byte of every session decodes, and what is decoded encodes to the same bytes.

use std::collections::{HashMap, VecDeque};

use alts_nbd::wire::flags::HandshakeFlags;
use alts_nbd::wire::hello::{Hello, decode_client_flags, encode_client_flags};
use alts_nbd::wire::option::{
    ClientOption, OptionHeader, encode_context_request, encode_info_request, number,
};
use alts_nbd::wire::option_reply::{
    EXPORT_NAME_PADDING, ExportInfo, Info, OptionReplyHeader, ReplyType, decode_context,
    decode_message, decode_server, encode_context, encode_server,
};
use alts_nbd::wire::reply::{
    ChunkType, ErrorChunk, ReplyHeader, decode_block_status, decode_hole, encode_block_status,
    encode_data_prefix, encode_hole, encode_none,
};
use alts_nbd::wire::request::{Command, Request};

use super::captured::{Session, Side, sessions};

/// Bytes that are taken from the front.
struct Bytes(VecDeque<u8>);

impl Bytes {
    fn take(&mut self, len: usize) -> Vec<u8> {
        assert!(len <= self.0.len(), "{len} bytes of {}", self.0.len());
        self.0.drain(..len).collect()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().expect("so many were taken")
    }
}

#[test]
fn every_message_is_understood() {
    let mut messages = 0;
    for session in sessions() {
        messages += check(&session);
    }
    assert!(messages > 250, "only {messages} messages");
}

fn check(session: &Session) -> usize {
    let name = session.name;
    let mut client = Bytes(session.sent_by(Side::Client).into());
    let mut server = Bytes(session.sent_by(Side::Server).into());
    let hello = server.array();
    assert_eq!(Hello::decode(&hello).expect(name).encode(), hello);
    let flags = client.array();
    let decoded = decode_client_flags(flags, HandshakeFlags::ALL).expect(name);
    assert_eq!(encode_client_flags(decoded), flags);

    let mut messages = 2;
    let mut transmits = false;
    while !transmits && !client.0.is_empty() {
        let header = client.array();
        let option = OptionHeader::decode(&header).expect(name);
        assert_eq!(option.encode(), header);
        let data = client.take(option.len as usize);
        let decoded = ClientOption::decode(option.number, &data).expect(name);
        assert_eq!(encode_option(&decoded), data, "{name}: {decoded:?}");
        messages += 1;
        if option.number == number::EXPORT_NAME {
            ExportInfo::decode(&server.array());
            let padded = decoded_without_padding(flags);
            server.take(if padded { 0 } else { EXPORT_NAME_PADDING });
            transmits = true;
            continue;
        }
        loop {
            let header = server.array();
            let reply = OptionReplyHeader::decode(&header).expect(name);
            assert_eq!(reply.encode(), header);
            assert_eq!(reply.option, option.number);
            let data = server.take(reply.len as usize);
            check_option_reply(reply.reply, &data);
            messages += 1;
            if matches!(reply.reply, ReplyType::Ack | ReplyType::Error(_)) {
                transmits = option.number == number::GO && reply.reply == ReplyType::Ack;
                break;
            }
        }
    }

    let mut reads = HashMap::new();
    while !client.0.is_empty() {
        let bytes = client.array();
        let request = Request::decode(&bytes).expect(name);
        assert_eq!(request.encode(), bytes);
        client.take(request.payload_len() as usize);
        // A cookie may be used again, and the sessions with simple replies to reads do not.
        reads.insert(request.cookie, (request.command == Command::Read).then_some(request.len));
        messages += 1;
    }
    while !server.0.is_empty() {
        let magic = [server.0[0], server.0[1], server.0[2], server.0[3]];
        let header = server.take(ReplyHeader::len_of(magic).expect(name));
        match ReplyHeader::decode(&header).expect(name) {
            ReplyHeader::Simple(reply) => {
                assert_eq!(reply.encode()[..], header);
                if reply.error.is_none()
                    && let Some(len) = reads[&reply.cookie]
                {
                    server.take(len as usize);
                }
            }
            ReplyHeader::Chunk(chunk) => {
                let contents = server.take(chunk.len as usize);
                let whole = [&header[..], &contents].concat();
                let (done, cookie) = (chunk.done, chunk.cookie);
                match chunk.kind {
                    ChunkType::None => assert_eq!(whole, encode_none(cookie)),
                    ChunkType::OffsetData => {
                        let offset = u64::from_be_bytes(contents[..8].try_into().expect("8 of 8"));
                        let prefix = encode_data_prefix(done, cookie, offset, chunk.len - 8);
                        assert!(whole.starts_with(&prefix));
                    }
                    ChunkType::OffsetHole => {
                        let (offset, len) = decode_hole(&contents).expect(name);
                        assert_eq!(whole, encode_hole(done, cookie, offset, len));
                    }
                    ChunkType::BlockStatus => {
                        let (context, extents) = decode_block_status(&contents).expect(name);
                        assert_eq!(whole, encode_block_status(done, cookie, context, &extents));
                    }
                    kind => {
                        let error = ErrorChunk::decode(kind, &contents).expect(name);
                        assert_eq!(whole, error.encode(cookie), "{name}");
                    }
                }
            }
        }
        messages += 1;
    }
    messages
}

fn decoded_without_padding(flags: [u8; 4]) -> bool {
    flags[3] & 2 != 0
}

fn encode_option(option: &ClientOption<'_>) -> Vec<u8> {
    match option {
        ClientOption::ExportName(name) => name.as_bytes().to_vec(),
        ClientOption::Info(request) | ClientOption::Go(request) => {
            encode_info_request(request.name, &request.infos().collect::<Vec<_>>())
        }
        ClientOption::ListMetaContext(request) | ClientOption::SetMetaContext(request) => {
            encode_context_request(request.name, &request.queries().collect::<Vec<_>>())
        }
        _ => Vec::new(),
    }
}

fn check_option_reply(reply: ReplyType, data: &[u8]) {
    match reply {
        ReplyType::Ack => assert!(data.is_empty()),
        ReplyType::Server => {
            let (name, description) = decode_server(data).expect("an export");
            assert_eq!(encode_server(name, description), data);
        }
        ReplyType::Info => assert_eq!(Info::decode(data).expect("an information").encode(), data),
        ReplyType::MetaContext => {
            let (id, name) = decode_context(data).expect("a context");
            assert_eq!(encode_context(id, name), data);
        }
        ReplyType::Error(_) => assert_eq!(decode_message(data).as_bytes(), data),
        other => panic!("{other:?}"),
    }
}
