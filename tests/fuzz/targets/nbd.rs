//! An NBD server, and a client that sends options and requests, well made and otherwise, in pieces and with pauses. What comes back is
//! compared with a model of the protocol and of the disk; whatever the client does, memory stays within the cap, and none is left
//! behind.

use std::sync::Arc;
use std::time::Duration;

use alts::pool::BufferPool;
use alts_nbd::backend::MemoryBackend;
use alts_nbd::export::{Export, Exports, Strategy};
use alts_nbd::server::{Server, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::FEW;
use crate::choices::Choices;
use crate::runtime::block_on;

/// Two pages of the backend and a bit, and no whole block.
const SIZE: u64 = 150_001;
const CAP: usize = 100 << 10;
const INVALID: u32 = 0x8000_0003;

/// What the server should know and have stored.
struct Model {
    disk: Vec<u8>,
    structured: bool,
    /// For which name block status was selected.
    selected: Option<String>,
    /// Whether it is allowed in this transmission.
    status: bool,
}

/// What an option should lead to.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Replies of these types, then the next option.
    Replies(Vec<u32>),
    /// The same, and transmission begins.
    Transmit(Vec<u32>),
    /// The same, and the connection ends.
    End(Vec<u32>),
    /// 10 bytes, and transmission begins.
    Bare,
    /// Nothing, and the connection ends.
    Closed,
}

fn number(data: &mut &[u8], len: usize) -> Option<u64> {
    let (field, rest) = data.split_at_checked(len)?;
    *data = rest;
    Some(field.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn text(data: &mut &[u8]) -> Option<String> {
    let len = number(data, 4)? as usize;
    let (field, rest) = data.split_at_checked(len)?;
    *data = rest;
    name(field)
}

fn name(field: &[u8]) -> Option<String> {
    let text = String::from_utf8(field.to_vec()).ok()?;
    (text.len() <= 4096 && !text.contains('\0')).then_some(text)
}

fn exists(name: &str) -> bool {
    ["", "disk"].contains(&name)
}

impl Model {
    fn option(&mut self, option: u32, data: &[u8]) -> Outcome {
        match option {
            1 => match name(data) {
                Some(name) if exists(&name) => {
                    self.status = self.selected.as_ref() == Some(&name);
                    Outcome::Bare
                }
                _ => Outcome::Closed,
            },
            2 => Outcome::End(vec![1]),
            3 if data.is_empty() => Outcome::Replies(vec![2, 1]),
            5 if data.is_empty() => Outcome::Replies(vec![0x8000_0001]),
            8 if data.is_empty() => {
                self.structured = true;
                Outcome::Replies(vec![1])
            }
            3 | 5 | 8 => Outcome::Replies(vec![INVALID]),
            6 | 7 => self.info(option, data),
            9 | 10 => Outcome::Replies(self.contexts(option, data)),
            _ => Outcome::Replies(vec![0x8000_0001]),
        }
    }

    fn info(&mut self, option: u32, mut data: &[u8]) -> Outcome {
        let parsed = (|| {
            let name = text(&mut data)?;
            let count = number(&mut data, 2)?;
            let infos: Option<Vec<_>> = (0..count).map(|_| number(&mut data, 2)).collect();
            Some((name, infos.filter(|_| data.is_empty())?))
        })();
        let Some((name, infos)) = parsed else { return Outcome::Replies(vec![INVALID]) };
        if !exists(&name) {
            return Outcome::Replies(vec![0x8000_0006]);
        }
        let said = (1..=3).filter(|info| infos.contains(info)).count() + 1;
        let mut replies = vec![3; said];
        replies.push(1);
        if option == 6 {
            return Outcome::Replies(replies);
        }
        self.status = self.selected.as_ref() == Some(&name);
        Outcome::Transmit(replies)
    }

    fn contexts(&mut self, option: u32, mut data: &[u8]) -> Vec<u32> {
        if option == 10 {
            self.selected = None;
        }
        let parsed = (|| {
            let name = text(&mut data)?;
            let count = number(&mut data, 4)?;
            // Each query takes 4 bytes.
            (count <= data.len() as u64 / 4).then_some(())?;
            let queries: Option<Vec<_>> = (0..count).map(|_| text(&mut data)).collect();
            Some((name, queries.filter(|_| data.is_empty())?))
        })();
        let Some((name, queries)) = parsed else { return vec![INVALID] };
        if option == 10 && !self.structured {
            return vec![INVALID];
        }
        if !exists(&name) {
            return vec![0x8000_0006];
        }
        if queries.len() > 64 {
            return vec![0x8000_0009];
        }
        let has = |query: &str| queries.iter().any(|other| other == query);
        let found = match option {
            9 => queries.is_empty() || has("base:") || has("base:allocation"),
            _ => has("base:allocation"),
        };
        if found && option == 10 {
            self.selected = Some(name);
        }
        if found { vec![4, 1] } else { vec![1] }
    }

    /// The error that a request should lead to; 0 for none.
    fn error(&self, command: u16, flags: u16, offset: u64, len: u32) -> u32 {
        let allowed = match command {
            0 if self.structured => 5,
            6 => 0x13,
            7 => 9,
            _ => 1,
        };
        let beyond = u128::from(offset) + u128::from(len) > u128::from(SIZE);
        match command {
            8.. => 22,
            _ if flags & !allowed != 0 => 22,
            3 => 0,
            1 | 6 if beyond => 28,
            _ if beyond => 22,
            7 if !self.status || len == 0 => 22,
            _ => 0,
        }
    }

    fn part(&mut self, offset: u64, len: u32) -> &mut [u8] {
        &mut self.disk[offset as usize..][..len as usize]
    }
}

struct Client<'a, 'input> {
    stream: DuplexStream,
    choices: &'a mut Choices<'input>,
}

/// The server has closed the connection.
#[derive(Debug)]
struct Ended;

impl Client<'_, '_> {
    /// Sends in pieces, with pauses that are longer than the server waits.
    async fn send(&mut self, mut bytes: &[u8]) -> Result<(), Ended> {
        while self.choices.one_in(4) && bytes.len() > 1 {
            let (now, later) = bytes.split_at(1 + self.choices.below(bytes.len() - 1));
            self.stream.write_all(now).await.map_err(|_| Ended)?;
            bytes = later;
            if self.choices.one_in(3) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        self.stream.write_all(bytes).await.map_err(|_| Ended)
    }

    async fn receive(&mut self, len: usize) -> Result<Vec<u8>, Ended> {
        if self.choices.one_in(6) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).await.map_err(|_| Ended)?;
        Ok(bytes)
    }

    async fn numbers<const N: usize>(&mut self, lens: [usize; N]) -> Result<[u64; N], Ended> {
        let bytes = self.receive(lens.iter().sum()).await?;
        let mut bytes = &bytes[..];
        Ok(lens.map(|len| number(&mut bytes, len).unwrap()))
    }

    /// Options until transmission begins; false if it does not.
    async fn handshake(&mut self, model: &mut Model) -> Result<bool, Ended> {
        for _ in 0..20 {
            let (option, data) = self.choose_option();
            let header = [option.to_be_bytes(), (data.len() as u32).to_be_bytes()].concat();
            self.send(&[b"IHAVEOPT", &header[..], &data].concat()).await?;
            let outcome = model.option(option, &data);
            let (expected, next) = match outcome {
                Outcome::Bare => {
                    assert_eq!(self.receive(10).await?[..8], SIZE.to_be_bytes());
                    return Ok(true);
                }
                Outcome::Closed => {
                    assert!(self.receive(1).await.is_err());
                    return Ok(false);
                }
                Outcome::Replies(expected) => (expected, None),
                Outcome::Transmit(expected) => (expected, Some(true)),
                Outcome::End(expected) => (expected, Some(false)),
            };
            for kind in expected {
                let [magic, of, found, len] = self.numbers([8, 4, 4, 4]).await?;
                assert_eq!((magic, of as u32), (0x0003_e889_0455_65a9, option));
                assert_eq!(found as u32, kind, "option {option} {data:02x?}");
                self.receive(len as usize).await?;
            }
            if let Some(transmits) = next {
                return Ok(transmits);
            }
        }
        Ok(false)
    }

    fn choose_option(&mut self) -> (u32, Vec<u8>) {
        let names: [&[u8]; 5] = [b"", b"disk", b"other", b"\xff", b"a\0b"];
        let string = |text: &[u8]| [&(text.len() as u32).to_be_bytes(), text].concat();
        let chosen = string(names[self.choices.below(5)]);
        let (option, mut data) = match self.choices.below(8) {
            0 | 1 => (8, vec![]),
            2 | 3 => {
                let count = self.choices.below(4);
                let mut data = [chosen, (count as u16).to_be_bytes().to_vec()].concat();
                for _ in 0..count {
                    data.extend([0, self.choices.byte() % 5]);
                }
                (if self.choices.one_in(3) { 6 } else { 7 }, data)
            }
            4 | 5 => {
                let queries: [&[u8]; 4] = [b"base:allocation", b"base:", b"x:y", b"\xff"];
                let count = self.choices.below(4);
                let mut data = [chosen, (count as u32).to_be_bytes().to_vec()].concat();
                for _ in 0..count {
                    data.extend(string(queries[self.choices.below(4)]));
                }
                (if self.choices.one_in(3) { 9 } else { 10 }, data)
            }
            6 => (1 + self.choices.below(12) as u32, vec![]),
            _ => (u32::from(self.choices.byte()), self.choices.array::<12>().to_vec()),
        };
        if self.choices.one_in(6) {
            match self.choices.below(3) {
                0 => data.push(self.choices.byte()),
                1 => drop(data.pop()),
                _ if data.is_empty() => {}
                _ => {
                    let at = self.choices.below(data.len());
                    data[at] = self.choices.byte();
                }
            }
        }
        (option, data)
    }

    async fn transmission(&mut self, model: &mut Model) -> Result<(), Ended> {
        for cookie in 0..20_u64 {
            let command = self.choices.below(10) as u16;
            let flags = match self.choices.below(4) {
                0 | 1 => 0,
                2 => 1 << self.choices.below(16),
                _ => u16::from_le_bytes(self.choices.array()),
            };
            let offset = match self.choices.below(4) {
                0 | 1 => self.choices.below(SIZE as usize) as u64,
                2 => SIZE.wrapping_sub(self.choices.below(0x100) as u64),
                _ => self.choices.u64(),
            };
            let len = match self.choices.below(4) {
                0 | 1 => self.choices.below(5000) as u32,
                2 => self.choices.below(150_000) as u32,
                _ if command == 1 => 0,
                _ => u32::from_le_bytes(self.choices.array()),
            };
            if command == 2 {
                continue;
            }
            let mut bytes = 0x2560_9513_u32.to_be_bytes().to_vec();
            bytes.extend(flags.to_be_bytes());
            bytes.extend(command.to_be_bytes());
            bytes.extend(cookie.to_be_bytes());
            bytes.extend(offset.to_be_bytes());
            bytes.extend(len.to_be_bytes());
            let fill = self.choices.byte() | 1;
            if command == 1 {
                bytes.resize(bytes.len() + len as usize, fill);
            }
            self.send(&bytes).await?;
            let expected = model.error(command, flags, offset, len);
            if expected == 0 {
                match command {
                    1 => model.part(offset, len).fill(fill),
                    4 | 6 => model.part(offset, len).fill(0),
                    _ => {}
                }
            }
            let read = if command == 0 && expected == 0 { len } else { 0 };
            let found = self.reply(model, cookie, offset, read).await?;
            assert_eq!(found, expected, "{command} {flags:#x} {offset} {len}");
        }
        Ok(())
    }

    /// Reads a whole reply, compares its data with the disk, and returns its error.
    async fn reply(
        &mut self,
        model: &mut Model,
        cookie: u64,
        offset: u64,
        read: u32,
    ) -> Result<u32, Ended> {
        let mut covered = 0;
        let mut error = 0;
        loop {
            let [magic] = self.numbers([4]).await?;
            if magic == 0x6744_6698 {
                let [error, found] = self.numbers([4, 8]).await?;
                assert_eq!(found, cookie);
                assert!(read == 0 || !model.structured, "reads are answered in chunks");
                if error == 0 && read > 0 {
                    assert!(self.receive(read as usize).await? == model.part(offset, read));
                }
                return Ok(error as u32);
            }
            assert_eq!(magic, 0x668e_33ef);
            let [flags, kind, found, len] = self.numbers([2, 2, 8, 4]).await?;
            assert_eq!(found, cookie);
            assert!(model.structured);
            let contents = self.receive(len as usize).await?;
            let mut rest = &contents[..];
            match kind {
                0 => assert!(rest.is_empty() && flags == 1),
                1 => {
                    // Of one reply they come in order here.
                    assert_eq!(number(&mut rest, 8), Some(offset + u64::from(covered)));
                    assert!(!rest.is_empty());
                    assert!(rest == model.part(offset + u64::from(covered), rest.len() as u32));
                    covered += rest.len() as u32;
                }
                5 => {
                    let mut at = offset;
                    number(&mut rest, 4).unwrap();
                    while !rest.is_empty() {
                        let len = number(&mut rest, 4).unwrap();
                        let zero = number(&mut rest, 4).unwrap() & 2 != 0;
                        assert!(len > 0);
                        let part = model.part(at, len as u32);
                        assert!(!zero || part.iter().all(|&byte| byte == 0));
                        at += len;
                    }
                }
                0x8001 | 0x8002 => error = number(&mut rest, 4).unwrap() as u32,
                kind => panic!("a chunk of type {kind:#x}"),
            }
            if flags == 1 {
                assert!(error != 0 || covered == read, "{covered} of {read} bytes");
                return Ok(error);
            }
        }
    }
}

async fn session(choices: &mut Choices<'_>, room: usize, exports: Exports, server: &Server) {
    let (near, far) = tokio::io::duplex(room);
    let talking = async {
        let mut client = Client { stream: near, choices };
        client.receive(18).await.unwrap();
        client.send(&[0, 0, 0, 3]).await.unwrap();
        let disk = vec![0; SIZE as usize];
        let mut model = Model { disk, structured: false, selected: None, status: false };
        let Ok(true) = client.handshake(&mut model).await else { return };
        client.transmission(&mut model).await.unwrap();
        if client.choices.one_in(3) {
            // Whatever it is, it is no request.
            let garbage = client.choices.array::<40>();
            let _ = client.send(&garbage).await;
        }
    };
    // However it ends, it ends.
    let _ = tokio::join!(server.serve(far, exports), talking).0;
}

#[test]
fn nbd() {
    bolero::check!(name = "nbd").with_iterations(FEW).for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let mut settings = Settings::default();
        settings.pool = BufferPool::builder().buffer_size(4096).cap(CAP).build().unwrap();
        let strategy = match choices.below(4) {
            0 => Strategy::Chunked { piece: 4096 << choices.below(5) },
            1 => Strategy::Whole,
            3 => Strategy::Unbuffered,
            _ => Strategy::HoldLargest { most: 4096 << choices.below(5) },
        };
        let backend = Arc::new(MemoryBackend::new(SIZE));
        let export = Export::new("disk", backend).unwrap().description("a disk").unwrap();
        let mut exports = Exports::new();
        exports.add(export.strategy(strategy)).unwrap();
        let room = 1 + choices.below(0x1_0000);
        let server = Server::new(settings);
        block_on(session(&mut choices, room, exports, &server));
        let stats = server.pool().stats();
        assert_eq!((stats.in_use_bytes, server.figures().in_flight), (0, 0));
        assert!(stats.high_water_bytes <= CAP);
    });
}
