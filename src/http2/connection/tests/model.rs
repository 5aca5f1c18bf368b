//! Whatever two ends do and however their bytes are cut: what is delivered is what was sent, and windows are conserved.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::super::*;
use super::pair::{End, Pair, request};

/// Choices, taken from bytes. After the last one it is always the dull one.
struct Choices<'input>(&'input [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, count: usize) -> usize {
        if count < 2 { 0 } else { usize::from(self.byte()) % count }
    }

    fn among<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        let at = self.below(list.len());
        list.get(at).copied()
    }
}

/// One direction of a stream.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
struct Way {
    sent: Vec<u8>,
    read: Vec<u8>,
    /// Content was given and is not out yet.
    busy: bool,
    ended: bool,
    seen_end: bool,
    broken: bool,
    abandoned: bool,
}

#[derive(Default)]
struct Ways {
    ways: BTreeMap<(u32, bool), Way>,
}

impl Ways {
    fn of(&mut self, id: u32, from_client: bool) -> &mut Way {
        self.ways.entry((id, from_client)).or_default()
    }

    /// Reads what has come at one end.
    fn read(&mut self, end: &mut End, id: u32, from_client: bool, most: usize) {
        for _ in 0..most {
            match end.read(id) {
                None => return,
                Some(Ok(Some(bytes))) => self.of(id, from_client).read.extend_from_slice(&bytes),
                Some(Ok(None)) => {
                    self.of(id, from_client).seen_end = true;
                    return;
                }
                Some(Err(error)) => {
                    assert!(self.of(id, from_client).broken, "stream {id}: {error}");
                    return;
                }
            }
        }
    }

    fn note(&mut self, end: &mut End, is_client: bool) {
        for id in end.writable.drain(..) {
            self.of(id, is_client).busy = false;
        }
    }

    fn check(&self) {
        for ((id, from_client), way) in &self.ways {
            let context = format!("stream {id}, from the client: {from_client}");
            assert!(way.sent.starts_with(&way.read), "{context}");
            if way.seen_end && !way.broken {
                assert!(way.ended, "{context}");
                assert_eq!(way.sent.len(), way.read.len(), "{context}");
            }
        }
    }
}

fn config(choices: &mut Choices<'_>) -> Config {
    let windows = [256 << 10, 1, 100, 65_535, 1 << 20, 20_000];
    Config {
        max_concurrent_streams: [100, 1, 3][choices.below(3)],
        stream_window: windows[choices.below(windows.len())],
        connection_window: [1 << 20, 65_535, 70_000][choices.below(3)],
        header_table_size: [4_096, 0, 100, 8_192][choices.below(4)],
        ..Config::default()
    }
}

/// Plays what `input` says, then lets everything come to its end.
pub(crate) fn play(input: &[u8]) {
    let choices = &mut Choices(input);
    let mut pair = Pair::new(config(choices), config(choices));
    let mut ways = Ways::default();
    while !choices.0.is_empty() {
        step(&mut pair, &mut ways, choices);
        ways.note(&mut pair.client, true);
        ways.note(&mut pair.server, false);
        ways.check();
    }
    finish(&mut pair, &mut ways);
}

fn step(pair: &mut Pair, ways: &mut Ways, choices: &mut Choices<'_>) {
    let is_client = choices.byte().is_multiple_of(2);
    let (end, own) = match is_client {
        true => (&mut pair.client, &mut pair.to_server),
        false => (&mut pair.server, &mut pair.to_client),
    };
    let id = choices.among(&end.core.ids());
    match (choices.byte() % 12, id) {
        (0, _) if is_client && end.core.can_open() => {
            let ended = choices.byte() % 4 == 3;
            let id = end.with(|core, turn| core.open(&request(), ended, (), turn)).unwrap();
            ways.of(id, true).ended = ended;
        }
        (0, Some(id)) if !is_client && sending(end, id) == Some(Direction::Head) => {
            let ended = choices.byte() % 4 == 3;
            let headers = HeaderMap::new();
            end.with(|core, turn| core.respond(id, StatusCode::OK, &headers, ended, turn));
            ways.of(id, false).ended = ended;
        }
        (1..=3, Some(id)) if sending(end, id) == Some(Direction::Content) => {
            let way = ways.of(id, is_client);
            if !way.busy && !way.ended {
                let len = [1_usize, 9, 700, 9_000, 40_000][choices.below(5)];
                let len = len.min(end.core.capacity(id));
                let start = way.sent.len();
                let content: Bytes = (start..start + len).map(|at| (at * 7) as u8).collect();
                if !content.is_empty() {
                    way.sent.extend_from_slice(&content);
                    way.ended = choices.byte() % 8 == 7;
                    let ended = way.ended;
                    let out = end.with(|core, turn| core.send_now(id, content, ended, turn));
                    way.busy = !out;
                }
            }
        }
        (4, Some(id)) if sending(end, id) == Some(Direction::Content) => {
            let way = ways.of(id, is_client);
            if !way.ended {
                way.ended = true;
                let trailers = (choices.byte() % 2 == 1).then(HeaderMap::new);
                end.with(|core, turn| core.end(id, trailers, turn));
            }
        }
        (5, Some(id)) if choices.byte() % 4 == 3 => {
            end.with(|core, turn| core.reset(id, ErrorCode::CANCEL, turn));
            ways.of(id, true).broken = true;
            ways.of(id, false).broken = true;
        }
        (6 | 7, Some(id)) => {
            let most = choices.below(8);
            ways.read(end, id, !is_client, most);
        }
        (8, Some(id)) if choices.byte() % 8 == 7 && end.bodies.remove(&id).is_some() => {
            ways.of(id, !is_client).abandoned = true;
            if is_client {
                // A client that does not want the response resets the stream.
                ways.of(id, true).broken = true;
                ways.of(id, false).broken = true;
            }
        }
        (9, _) => end.now += Tick::from(choices.byte()),
        _ => {
            end.settle();
            own.extend(end.take_output());
            let cut = [1, 2, 7, 30, 1_000, 20_000, usize::MAX][choices.below(7)].min(own.len());
            let rest = own.split_off(cut);
            let bytes = std::mem::replace(own, rest);
            let far = if is_client { &mut pair.server } else { &mut pair.client };
            far.receive(&bytes).unwrap();
        }
    }
}

fn sending(end: &mut End, id: u32) -> Option<Direction> {
    end.core.stream(id).map(|stream| stream.sending)
}

/// Ends what is open, reads everything, and looks at what is left.
fn finish(pair: &mut Pair, ways: &mut Ways) {
    for _ in 0..100_000 {
        pair.exchange();
        for (is_client, end) in [(true, &mut pair.client), (false, &mut pair.server)] {
            ways.note(end, is_client);
            for id in end.bodies.keys().copied().collect::<Vec<_>>() {
                if !ways.of(id, !is_client).seen_end && !ways.of(id, !is_client).broken {
                    ways.read(end, id, !is_client, usize::MAX);
                }
            }
            for id in end.core.ids() {
                if sending(end, id) == Some(Direction::Head) {
                    let headers = HeaderMap::new();
                    end.with(|core, turn| core.respond(id, StatusCode::OK, &headers, false, turn));
                }
                let way = ways.of(id, is_client);
                if !way.ended && !way.busy {
                    way.ended = true;
                    end.with(|core, turn| core.end(id, None, turn));
                }
            }
        }
        ways.check();
        pair.collect();
        let quiet = pair.to_client.is_empty() && pair.to_server.is_empty();
        if quiet && pair.client.core.open_streams() + pair.server.core.open_streams() == 0 {
            break;
        }
    }
    assert_eq!(pair.client.core.ids(), [0_u32; 0], "streams are left: {ways:?}");
    assert_eq!(pair.server.core.ids(), [0_u32; 0], "streams are left: {ways:?}");
    for end in [&mut pair.client, &mut pair.server] {
        end.bodies.clear();
        end.settle();
        end.other.clear();
        assert!(end.core.active.is_none(), "an idle connection holds something: {:?}", end.core);
        assert_eq!(end.core.recv_window.total(), end.config.connection_window);
    }
    pair.exchange();
    for (from, to) in [(&pair.client, &pair.server), (&pair.server, &pair.client)] {
        assert_eq!(from.core.send_window.available(), to.core.recv_window.left() as usize);
    }
}

impl std::fmt::Debug for Ways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ways = self.ways.iter().map(|(key, way)| {
            let state = (way.sent.len(), way.read.len(), way.busy, way.ended, way.seen_end);
            (key, state, way.broken, way.abandoned)
        });
        f.debug_list().entries(ways).finish()
    }
}

#[test]
fn what_is_delivered_is_what_was_sent() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..2_000_usize {
        let input: Vec<u8> = (0..round % 700)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        let played = std::panic::catch_unwind(|| play(&input));
        assert!(played.is_ok(), "round {round}: {input:?}");
    }
}
