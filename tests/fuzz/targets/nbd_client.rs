//! The NBD client, and a server that answers its requests with messages of any kind, well made and otherwise, in any order and cut
//! anywhere. The model ([`model`](self::model)) knows what was sent of each reply and foretells what becomes of each request: exactly
//! these bytes, this error, or the end of the connection. Whatever happens, no buffer is left behind.

mod model;

use std::time::Duration;

use alts::pool::BufferPool;
use alts_nbd::client::{Client, Error, Settings};
use alts_nbd::wire::flags::{CommandFlags, HandshakeFlags, TransmissionFlags};
use alts_nbd::wire::hello::Hello;
use alts_nbd::wire::option::number as option;
use alts_nbd::wire::option_reply::{
    ExportInfo, Info, OptionError, ReplyType, encode_context, put_reply,
};
use alts_nbd::wire::{BASE_ALLOCATION, reply::Extent};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use crate::FEW;
use crate::choices::Choices;
use crate::runtime::block_on;
use model::{Answer, Kind, Pending, Verdict};

const SIZE: u64 = 100_000;
const CONTEXT: u32 = 0;
const CAP: usize = 256 << 10;
const MOST: usize = 20_000;

/// The client has closed the connection.
#[derive(Debug)]
struct Ended;

struct Server<'a, 'input> {
    stream: DuplexStream,
    choices: &'a mut Choices<'input>,
    structured: bool,
}

/// A request, and the caller that waits for it; none if the caller has gone.
struct Job {
    pending: Pending,
    caller: Option<JoinHandle<Result<Answer, Error>>>,
}

/// A chunk of a reply.
struct Chunk {
    flags: u16,
    kind: u16,
    cookie: u64,
    contents: Vec<u8>,
}

impl Chunk {
    /// Sometimes makes something wrong; the length that it claims to have.
    fn spoil(&mut self, choices: &mut Choices<'_>) -> u32 {
        let fault = choices.below(24);
        match fault {
            23 => self.kind = u16::from(choices.byte()) | u16::from(choices.byte() & 0x80) << 8,
            22 => self.flags = u16::from(choices.byte()),
            21 => self.cookie = self.cookie.wrapping_add(choices.byte().into()),
            20 if !self.contents.is_empty() => {
                let place = choices.below(self.contents.len().min(20));
                self.contents[place] = choices.byte();
            }
            19 => drop(self.contents.pop()),
            18 => self.contents.push(choices.byte()),
            16 => self.flags ^= 1,
            _ => {}
        }
        let len = self.contents.len() as u32;
        match fault {
            // More than there is: fewer could be another message that is right.
            17 => len.saturating_add(u32::from_le_bytes(choices.array())).max(len + 1),
            _ => len,
        }
    }
}

impl Server<'_, '_> {
    async fn receive<const N: usize>(&mut self) -> Result<[u8; N], Ended> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).await.map_err(|_| Ended)?;
        Ok(bytes)
    }

    /// Sends in pieces, with pauses.
    async fn send(&mut self, mut bytes: &[u8]) -> Result<(), Ended> {
        while self.choices.one_in(4) && bytes.len() > 1 {
            let (now, later) = bytes.split_at(1 + self.choices.below(bytes.len() - 1));
            self.stream.write_all(now).await.map_err(|_| Ended)?;
            bytes = later;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.stream.write_all(bytes).await.map_err(|_| Ended)
    }

    /// A handshake in which nothing is wrong.
    async fn agree(&mut self) -> Result<(), Ended> {
        self.send(&Hello { flags: HandshakeFlags::ALL }.encode()).await?;
        self.receive::<4>().await?;
        loop {
            let header = self.receive::<16>().await?;
            let number = u32::from_be_bytes(header[8..12].try_into().unwrap());
            let len = u32::from_be_bytes(header[12..].try_into().unwrap());
            let mut data = vec![0; len as usize];
            self.stream.read_exact(&mut data).await.map_err(|_| Ended)?;
            let mut out = Vec::new();
            let mut last = ReplyType::Ack;
            match number {
                option::STRUCTURED_REPLY if !self.structured => {
                    last = ReplyType::Error(OptionError::Unsupported);
                }
                option::SET_META_CONTEXT => {
                    let context = encode_context(CONTEXT, BASE_ALLOCATION);
                    put_reply(&mut out, number, ReplyType::MetaContext, &context);
                }
                option::GO => {
                    let flags = TransmissionFlags::ALL.without(TransmissionFlags::READ_ONLY);
                    let info = Info::Export(ExportInfo { size: SIZE, flags }).encode();
                    put_reply(&mut out, number, ReplyType::Info, &info);
                }
                _ => {}
            }
            put_reply(&mut out, number, last, b"");
            self.stream.write_all(&out).await.map_err(|_| Ended)?;
            if number == option::GO {
                return Ok(());
            }
        }
    }

    /// Has the client ask for something, and reads the request.
    async fn request(&mut self, client: &Client) -> Result<Job, Ended> {
        let len = self.choices.size(MOST);
        let offset = self.choices.below(SIZE as usize - len) as u64;
        let kind = match self.choices.below(if self.structured { 8 } else { 5 }) {
            0..=2 => Kind::Read { one_chunk: false },
            3 => Kind::Write,
            4 => Kind::Flush,
            5 => Kind::Read { one_chunk: true },
            6 => Kind::Status { one: false },
            _ => Kind::Status { one: true },
        };
        let client = client.clone();
        let caller = tokio::spawn(async move { ask(&client, kind, offset, len).await });
        let header = self.receive::<28>().await?;
        let cookie = u64::from_be_bytes(header[8..16].try_into().unwrap());
        let offset = u64::from_be_bytes(header[16..24].try_into().unwrap());
        let len = u32::from_be_bytes(header[24..].try_into().unwrap());
        if kind == Kind::Write {
            let mut payload = vec![0; len as usize];
            self.stream.read_exact(&mut payload).await.map_err(|_| Ended)?;
            assert!(payload.iter().all(|&byte| byte == 7));
        }
        Ok(Job { pending: Pending::new(kind, cookie, offset, len), caller: Some(caller) })
    }

    /// Makes up the next message about one of the requests, and sends it; what it means, and for which request.
    async fn answer(&mut self, jobs: &mut [Job]) -> Result<(usize, Verdict), Ended> {
        let at = self.choices.below(jobs.len());
        let pending = &mut jobs[at].pending;
        if !self.structured || (!is_read(pending.kind) && self.choices.one_in(3)) {
            return self.simple(at, jobs).await;
        }
        let fill = self.choices.byte() | 1;
        let choices = &mut *self.choices;
        let mut flags = 0;
        let (kind, contents) = match (pending.gap(), pending.kind, choices.below(8)) {
            (_, _, 7) => {
                let error = 1 + choices.below(200) as u32;
                let message = &b"some text"[..choices.below(10)];
                let mut contents = error.to_be_bytes().to_vec();
                contents.extend((message.len() as u16).to_be_bytes());
                contents.extend(message);
                let place = choices.one_in(2);
                if place {
                    let within = choices.below(pending.len.max(1) as usize) as u64;
                    contents.extend((pending.offset + within).to_be_bytes());
                }
                flags = u16::from(choices.one_in(2));
                (0x8001 + u16::from(place), contents)
            }
            (Some((offset, len)), Kind::Read { one_chunk }, how) => {
                let (mut skip, mut len) = (0, len as usize);
                if !one_chunk && choices.one_in(3) {
                    skip = choices.below(len);
                    len = 1 + choices.below(len - skip);
                }
                let offset = offset + skip as u64;
                let mut contents = offset.to_be_bytes().to_vec();
                if how == 6 && !one_chunk {
                    contents.extend((len as u32).to_be_bytes());
                    (2, contents)
                } else {
                    contents.resize(8 + len, fill);
                    (1, contents)
                }
            }
            (_, Kind::Status { one }, _) if !pending.is_complete() => {
                let mut contents = CONTEXT.to_be_bytes().to_vec();
                let count = if one { 1 } else { 1 + choices.below(4) as u32 };
                for _ in 0..count {
                    contents.extend((pending.len / count).max(1).to_be_bytes());
                    contents.extend(u32::from(choices.byte()).to_be_bytes());
                }
                (5, contents)
            }
            _ => {
                flags = 1;
                (0, Vec::new())
            }
        };
        let mut chunk = Chunk { flags, kind, cookie: pending.cookie, contents };
        let claimed = chunk.spoil(choices);
        let Chunk { flags, kind, cookie, contents } = chunk;
        let mut bytes = 0x668e_33ef_u32.to_be_bytes().to_vec();
        bytes.extend(flags.to_be_bytes());
        bytes.extend(kind.to_be_bytes());
        bytes.extend(cookie.to_be_bytes());
        bytes.extend(claimed.to_be_bytes());
        if choices.one_in(100) {
            bytes[choices.below(4)] ^= 1 << choices.below(8);
        }
        let magic = bytes[..4] == [0x66, 0x8e, 0x33, 0xef];
        bytes.extend(&contents);
        let target = jobs.iter().position(|job| job.pending.cookie == cookie);
        let verdict = match target {
            // What is cut here is followed by nothing.
            _ if !magic || claimed as usize != contents.len() => Verdict::Broken,
            None => Verdict::Broken,
            Some(target) => jobs[target].pending.chunk(flags, kind, &contents),
        };
        let sent = self.send(&bytes).await;
        if verdict != Verdict::Broken {
            sent?;
        }
        Ok((target.unwrap_or(at), verdict))
    }

    async fn simple(&mut self, at: usize, jobs: &[Job]) -> Result<(usize, Verdict), Ended> {
        let pending = &jobs[at].pending;
        let error = if self.choices.one_in(4) { self.choices.below(200) as u32 } else { 0 };
        let fill = match (pending.kind, error) {
            (Kind::Read { .. }, 0) => self.choices.byte() | 1,
            _ => 1,
        };
        let mut cookie = pending.cookie;
        if self.choices.one_in(16) {
            cookie = cookie.wrapping_add(self.choices.byte().into());
        }
        // A wrong cookie may be that of another request, which is answered then.
        let target = jobs.iter().position(|job| job.pending.cookie == cookie);
        let pending = &jobs[target.unwrap_or(at)].pending;
        let data = match (pending.kind, error) {
            (Kind::Read { .. }, 0) => vec![fill; pending.len as usize],
            _ => Vec::new(),
        };
        let mut bytes = 0x6744_6698_u32.to_be_bytes().to_vec();
        bytes.extend(error.to_be_bytes());
        bytes.extend(cookie.to_be_bytes());
        bytes.extend(&data);
        let verdict = match target {
            Some(_) => pending.simple(self.structured, error, &data),
            None => Verdict::Broken,
        };
        let sent = self.send(&bytes).await;
        if verdict != Verdict::Broken {
            sent?;
        }
        Ok((target.unwrap_or(at), verdict))
    }

    /// Requests and replies until something is wrong, which is `false`, or there were enough.
    async fn transmission(&mut self, client: &Client) -> Result<bool, Ended> {
        for _ in 0..3 {
            let mut jobs = Vec::new();
            for _ in 0..=self.choices.below(4) {
                let mut job = self.request(client).await?;
                if self.choices.one_in(8)
                    && let Some(caller) = job.caller.take()
                {
                    caller.abort();
                }
                jobs.push(job);
            }
            while !jobs.is_empty() {
                let (at, verdict) = self.answer(&mut jobs).await?;
                match verdict {
                    Verdict::More => {}
                    Verdict::Ended(expected) => {
                        if let Some(caller) = jobs.swap_remove(at).caller {
                            assert_eq!(answer_of(caller.await.unwrap()), Ok(expected));
                        }
                    }
                    Verdict::Broken => {
                        self.stream.shutdown().await.unwrap();
                        for caller in jobs.into_iter().filter_map(|job| job.caller) {
                            let error = caller.await.unwrap().unwrap_err();
                            let known = matches!(
                                error,
                                Error::Violation(_) | Error::Malformed(_) | Error::Io { .. }
                            );
                            assert!(known, "{error:?}");
                        }
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}

fn is_read(kind: Kind) -> bool {
    matches!(kind, Kind::Read { .. })
}

async fn ask(client: &Client, kind: Kind, offset: u64, len: usize) -> Result<Answer, Error> {
    let flags = |set, flag| if set { flag } else { CommandFlags::NONE };
    match kind {
        Kind::Read { one_chunk } => {
            let data = client.read_with(offset, len, flags(one_chunk, CommandFlags::DF)).await?;
            Ok(Answer::Data(data.to_vec()))
        }
        Kind::Status { one } => {
            let flags = flags(one, CommandFlags::REQ_ONE);
            let extents = client.block_status(offset, len as u32, flags).await?;
            let plain = |extent: Extent| (extent.len, extent.flags.0);
            Ok(Answer::Extents(extents.into_iter().map(plain).collect()))
        }
        Kind::Write => {
            client.write(offset, vec![7; len], CommandFlags::NONE).await.map(|()| Answer::Done)
        }
        Kind::Flush => client.flush().await.map(|()| Answer::Done),
    }
}

/// What a caller got; an error that the server did not send stays one.
fn answer_of(result: Result<Answer, Error>) -> Result<Answer, Error> {
    match result {
        Err(Error::Refused(refusal)) => Ok(Answer::Refused(refusal.error.code())),
        result => result,
    }
}

async fn session(choices: &mut Choices<'_>, settings: Settings) {
    let structured = !choices.one_in(4);
    let (near, far) = tokio::io::duplex(1 + choices.below(0x1_0000));
    let mut server = Server { stream: far, choices, structured };
    let opening = tokio::spawn(Client::over(near, "disk", settings));
    server.agree().await.unwrap();
    let client = opening.await.unwrap().unwrap();
    let good = server.transmission(&client).await.unwrap();
    if good {
        let bye = tokio::spawn(async move { client.disconnect().await });
        let request = server.receive::<28>().await.unwrap();
        assert_eq!(request[6..8], [0, 2]);
        drop(server);
        bye.await.unwrap().unwrap();
    } else {
        client.disconnect().await.unwrap_err();
    }
}

#[test]
fn nbd_client() {
    bolero::check!(name = "nbd_client").with_iterations(FEW).for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let mut settings = Settings::default();
        settings.pool = BufferPool::builder().buffer_size(4096).cap(CAP).build().unwrap();
        let pool = settings.pool.clone();
        block_on(session(&mut choices, settings));
        let stats = pool.stats();
        assert_eq!(stats.in_use_bytes, 0);
        assert!(stats.high_water_bytes <= CAP);
    });
}
