//! Single rules of RFC 9113, and single limits.

use super::super::super::frame::{self, Data, Head as FrameHead, Headers, Kind, Settings, flag};
use super::super::super::hpack::encode;
use super::super::super::limits::{CONTROL, RESETS};
use super::super::*;
use super::pair::{End, Pair};

/// A server that has had a client's preface and settings.
fn server() -> End {
    let mut server = End::new(Role::Server, Config::default());
    let mut hello = frame::PREFACE.to_vec();
    Settings::write(&[], &mut hello);
    Settings::write_ack(&mut hello);
    server.receive(&hello).unwrap();
    server.take_output();
    server
}

fn headers(id: u32, end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let start = Headers::begin(&mut out);
    let fields: [(&[u8], &[u8]); 3] =
        [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/")];
    for (name, value) in fields {
        encode::field(&mut out, name, value);
    }
    Headers::finish(&mut out, start, id, end);
    out
}

fn raw(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameHead { len: payload.len() as u32, kind, flags, stream }.write(&mut out);
    out.extend_from_slice(payload);
    out
}

fn data(id: u32, payload: &[u8], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    Data::head(id, payload.len(), end).write(&mut out);
    out.extend_from_slice(payload);
    out
}

/// The frames that an end sends.
fn frames(end: &mut End) -> Vec<(FrameHead, Vec<u8>)> {
    let bytes = end.take_output();
    let (mut rest, mut frames) = (&bytes[..], Vec::new());
    while let Some((head, after)) = rest.split_first_chunk() {
        let head = FrameHead::parse(head);
        let (payload, after) = after.split_at(head.len as usize);
        frames.push((head, payload.to_vec()));
        rest = after;
    }
    frames
}

fn kinds(end: &mut End) -> Vec<(Kind, u32)> {
    frames(end).iter().map(|(head, _)| (head.kind, head.stream)).collect()
}

#[test]
fn a_request_reset_in_the_same_read_never_reaches_the_service() {
    let mut server = server();
    let reset = raw(Kind::Reset, 0, 1, &8_u32.to_be_bytes());
    server.receive(&[headers(1, false), reset, headers(3, true)].concat()).unwrap();
    assert_eq!(server.heads.keys().copied().collect::<Vec<_>>(), [3]);
    assert_eq!(server.closed[&1], Some(Error::reset(ErrorCode::CANCEL)));
}

#[test]
fn rapid_resets_end_the_connection() {
    let mut server = server();
    let mut id = 1;
    let error = loop {
        let reset = raw(Kind::Reset, 0, id, &8_u32.to_be_bytes());
        if let Err(error) = server.receive(&[headers(id, false), reset].concat()) {
            break error;
        }
        id += 2;
        assert!(id < 3 * RESETS.size);
    };
    assert_eq!(error.code(), ErrorCode::ENHANCE_YOUR_CALM);
    assert!(id / 2 >= RESETS.size);
    let (head, payload) = frames(&mut server).pop().unwrap();
    assert_eq!(head.kind, Kind::GoAway);
    let go_away = GoAway::parse(&head, &payload).unwrap();
    assert_eq!(go_away.debug, RESETS.exhausted.as_bytes());
}

#[test]
fn pings_are_answered_until_they_are_too_many() {
    let mut server = server();
    let ping = raw(Kind::Ping, 0, 0, b"12345678");
    for at in 0.. {
        match server.receive(&ping) {
            Ok(()) => assert_eq!(kinds(&mut server), [(Kind::Ping, 0)]),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::ENHANCE_YOUR_CALM);
                assert!(at >= CONTROL.size - 100, "{at}");
                break;
            }
        }
    }
}

#[test]
fn a_ping_after_each_answer_is_no_flood() {
    let mut pair = Pair::ready();
    for _ in 0..20_000 {
        let id = pair.open(true);
        pair.exchange();
        let headers = http::HeaderMap::new();
        pair.server.with(|core, turn| {
            core.respond(id, http::StatusCode::OK, &headers, true, turn);
        });
        pair.client.with(|_, turn| turn.ping([7; 8]));
        pair.exchange();
    }
}

#[test]
fn streams_above_the_limit_are_refused() {
    let mut server = server();
    let most = server.config.max_concurrent_streams;
    for at in 0..most {
        server.receive(&headers(2 * at + 1, false)).unwrap();
    }
    server.receive(&headers(2 * most + 1, false)).unwrap();
    let (head, payload) = frames(&mut server).pop().unwrap();
    assert_eq!((head.kind, head.stream), (Kind::Reset, 2 * most + 1));
    assert_eq!(payload, ErrorCode::REFUSED_STREAM.0.to_be_bytes());
}

#[test]
fn a_header_list_beyond_the_limit_is_answered_431() {
    let mut server = server();
    let mut out = Vec::new();
    let start = Headers::begin(&mut out);
    for _ in 0..2 {
        encode::field(&mut out, b"a", &vec![b'x'; 10_000]);
    }
    Headers::finish(&mut out, start, 1, false);
    server.receive(&out).unwrap();
    let frames = frames(&mut server);
    assert_eq!(frames[0].0.kind, Kind::Headers);
    assert_eq!(&frames[0].1[1..], b"\x03431");
    assert_eq!(frames[1].0.kind, Kind::Reset);
    assert!(server.heads.is_empty());
}

#[test]
fn go_aways_are_not_free() {
    let mut server = server();
    let go_away = raw(Kind::GoAway, 0, 0, &[0; 8]);
    let error = (0..100_000).find_map(|_| server.receive(&go_away).err());
    assert_eq!(error.unwrap().code(), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn continuations_are_few() {
    let mut server = server();
    let mut bytes = raw(Kind::Headers, 0, 1, &[]);
    for _ in 0..8 {
        bytes.extend(raw(Kind::Continuation, 0, 1, &[]));
    }
    server.receive(&bytes).unwrap();
    let error = server.receive(&raw(Kind::Continuation, 0, 1, &[])).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn windows_are_enforced() {
    let mut server = server();
    server.receive(&headers(1, false)).unwrap();
    let most = server.config.stream_window as usize;
    for chunk in vec![0; most].chunks(16_384) {
        server.receive(&data(1, chunk, false)).unwrap();
    }
    server.take_output();
    server.receive(&data(1, &[0], false)).unwrap();
    let (head, payload) = frames(&mut server).pop().unwrap();
    assert_eq!((head.kind, head.stream), (Kind::Reset, 1));
    assert_eq!(payload, ErrorCode::FLOW_CONTROL_ERROR.0.to_be_bytes());
    // All of it is given back to the connection, at half its window.
    assert_eq!(server.core.recv_window.total(), server.config.connection_window);
}

#[test]
fn padding_counts_and_is_given_back_at_once() {
    let mut server = server();
    server.receive(&headers(1, false)).unwrap();
    let mut payload = vec![200, b'x'];
    payload.extend([0; 200]);
    let frame = raw(Kind::Data, flag::PADDED, 1, &payload);
    for cut in 0..frame.len() {
        server.receive(&frame[..cut]).unwrap();
        server.receive(&frame[cut..]).unwrap();
    }
    let count = frame.len();
    let mut read = 0;
    while let Some(Ok(Some(bytes))) = server.read(1) {
        assert!(bytes.iter().all(|byte| *byte == b'x'));
        read += bytes.len();
    }
    assert_eq!(read, count);
    server.settle();
    assert_eq!(server.core.recv_window.total(), server.config.connection_window);
}

#[test]
fn late_data_is_given_back() {
    let mut server = server();
    server.receive(&headers(1, false)).unwrap();
    server.with(|core, turn| {
        core.respond(1, http::StatusCode::OK, &http::HeaderMap::new(), true, turn);
    });
    server.settle();
    assert_eq!(kinds(&mut server), [(Kind::Headers, 1), (Kind::Reset, 1)]);
    for _ in 0..500 {
        server.receive(&data(1, &[0; 1_000], false)).unwrap();
    }
    assert_eq!(server.core.recv_window.total(), server.config.connection_window);
    assert!(server.core.recv_window.left() >= server.config.connection_window / 2);
}

#[test]
fn a_foreign_protocol_is_named() {
    for (bytes, word) in [
        (&b"GET / HTTP/1.1\r\n"[..], "HTTP/1"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nXX", "preface"),
    ] {
        for cut in 0..bytes.len() {
            let mut server = End::new(Role::Server, Config::default());
            let first = server.receive(&bytes[..cut]);
            let error = first.and_then(|()| server.receive(&bytes[cut..])).unwrap_err();
            assert!(error.to_string().contains(word) || cut < 4, "{error}");
        }
    }
}

#[test]
fn an_early_response_and_its_reset_are_a_success() {
    let mut pair = Pair::ready();
    let id = pair.open(false);
    pair.exchange();
    pair.server.with(|core, turn| {
        core.respond(id, http::StatusCode::OK, &http::HeaderMap::new(), true, turn);
    });
    pair.exchange();
    assert_eq!(pair.client.closed[&id], None);
    assert_eq!(pair.server.closed[&id], None);
}

#[test]
fn go_away_ends_what_came_too_late_as_unprocessed() {
    let mut pair = Pair::ready();
    let first = pair.open(false);
    pair.exchange();
    let second = pair.open(false);
    pair.server.with(|core, turn| core.close(ErrorCode::NO_ERROR, "bye", turn));
    pair.exchange();
    assert!(pair.client.closed[&second].as_ref().unwrap().is_unprocessed());
    assert!(!pair.client.core.can_open());
    pair.server.with(|core, turn| {
        core.respond(first, http::StatusCode::OK, &http::HeaderMap::new(), true, turn);
    });
    pair.exchange();
    assert_eq!(pair.client.closed[&first], None);
}

#[test]
fn content_of_two_streams_alternates() {
    let mut pair = Pair::ready();
    let ids = [pair.open(false), pair.open(false)];
    pair.exchange();
    for id in ids {
        pair.client.core.send(id, vec![0; 40_000].into(), true, 0);
    }
    pair.client.settle();
    let sent: Vec<_> = frames(&mut pair.client).iter().map(|(head, _)| head.stream).collect();
    assert_eq!(sent, [1, 3, 1, 3, 1, 3]);
}

#[test]
fn a_window_that_grows_after_the_end_changes_nothing() {
    let mut pair = Pair::ready();
    let id = pair.open(false);
    pair.client.core.send(id, vec![0; 10].into(), true, 0);
    pair.exchange();
    let update = WindowUpdate { stream: id, increment: 10 };
    update.write(pair.server.out.frames());
    pair.exchange();
    assert_eq!(pair.client.core.open_streams(), 1);
    pair.server.with(|core, turn| {
        core.respond(id, http::StatusCode::OK, &http::HeaderMap::new(), true, turn);
    });
    pair.exchange();
    assert_eq!(pair.client.closed[&id], None);
}

#[test]
fn a_table_that_is_lowered_is_acknowledged_in_the_next_block() {
    let small = Config { header_table_size: 0, ..Config::default() };
    let mut pair = Pair::new(small, Config::default());
    pair.exchange();
    let id = pair.open(false);
    pair.exchange();
    pair.server.with(|core, turn| {
        core.respond(id, http::StatusCode::OK, &http::HeaderMap::new(), false, turn);
    });
    let (_, payload) = frames(&mut pair.server).pop().unwrap();
    assert_eq!(payload, [0x20, 0x88]);
}

#[test]
fn small_enough() {
    assert!(size_of::<Core<()>>() <= 72, "{}", size_of::<Core<()>>());
}
