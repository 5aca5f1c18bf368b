//! A client by hand: it sends what it is told, and checks that what comes back is a message.

use std::sync::Arc;

use alts::pool::BufferPool;
use alts_nbd::backend::{Backend, MemoryBackend};
use alts_nbd::export::{Export, Exports, Strategy};
use alts_nbd::server::{ConnectionError, Ending, Server, Settings};
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::hello::Hello;
use alts_nbd::wire::option::{OptionHeader, encode_context_request, encode_info_request, number};
use alts_nbd::wire::option_reply::{OptionReplyHeader, ReplyType};
use alts_nbd::wire::reply::{ChunkType, ErrorChunk, ReplyHeader, decode_block_status, decode_hole};
use alts_nbd::wire::request::{Command, Request};
use alts_nbd::wire::{BASE_ALLOCATION, Errno};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

pub(crate) const MIB: usize = 1 << 20;

/// A server with a pool of that cap.
pub(crate) fn server(cap: usize) -> Server {
    let mut settings = Settings::default();
    settings.pool = BufferPool::builder().buffer_size(4096).cap(cap).build().expect("a valid pool");
    Server::new(settings)
}

/// `backend` as "disk".
pub(crate) fn exports(backend: Arc<dyn Backend>, strategy: Strategy) -> Exports {
    let mut exports = Exports::new();
    let export = Export::new("disk", backend).expect("a valid export").strategy(strategy);
    exports.add(export).expect("one export");
    exports
}

/// Memory whose every byte is known, as "disk".
pub(crate) fn pattern_exports(len: usize) -> Exports {
    exports(Arc::new(pattern_memory(len)), Strategy::default())
}

pub(crate) fn pattern_memory(len: usize) -> MemoryBackend {
    let memory = MemoryBackend::new(len as u64);
    memory.write(0, &pattern(0, len)).expect("memory takes everything");
    memory
}

/// What is stored there.
pub(crate) fn pattern(offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len).map(|at| (at % 251) as u8 ^ (at >> 16) as u8).collect()
}

/// A server, and what it shows to a client.
#[cfg(target_os = "linux")]
pub(crate) type ServerAndExports = (Server, Exports);

pub(crate) struct Client {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
    pub(crate) served: JoinHandle<Result<Ending, ConnectionError>>,
    cookie: u64,
}

/// A reply to a request, put together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) cookie: u64,
    pub(crate) error: Option<(Errno, Option<u64>)>,
    /// Data and holes, by their offsets.
    pub(crate) parts: Vec<(u64, Vec<u8>)>,
    /// Lengths and flags.
    pub(crate) extents: Vec<(u32, u32)>,
}

impl Client {
    /// Connected, and nothing said.
    pub(crate) fn silent(server: &Server, exports: &Exports) -> Self {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let (server, exports) = (server.clone(), exports.clone());
        let served = tokio::spawn(async move { server.serve(far, exports).await });
        Self::new(near, served)
    }

    fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        served: JoinHandle<Result<Ending, ConnectionError>>,
    ) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { reader: Box::new(reader), writer: Box::new(writer), served, cookie: 0 }
    }

    /// In transmission with a server in another process.
    pub(crate) async fn over(stream: UnixStream) -> Self {
        Self::greeted_over(stream).await.agree().await
    }

    /// With the flags said, at the other end of what is served.
    pub(crate) async fn on(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        served: JoinHandle<Result<Ending, ConnectionError>>,
    ) -> Self {
        Self::new(stream, served).greet().await
    }

    /// The same, with the flags said.
    pub(crate) async fn greeted_over(stream: UnixStream) -> Self {
        Self::new(stream, tokio::spawn(async { Ok(Ending::Disconnected) })).greet().await
    }

    /// The same connection inside of TLS.
    #[cfg(feature = "tls")]
    pub(crate) async fn through(
        self,
        tls: &tokio_rustls::TlsConnector,
        name: &'static str,
    ) -> Self {
        let stream = tokio::io::join(self.reader, self.writer);
        let name = name.try_into().expect("a name");
        Self::new(tls.connect(name, stream).await.expect("TLS"), self.served)
    }

    /// Connected, with the flags said.
    pub(crate) async fn greeted(server: &Server, exports: &Exports) -> Self {
        Self::silent(server, exports).greet().await
    }

    async fn greet(mut self) -> Self {
        let client = &mut self;
        let mut hello = [0; Hello::LEN];
        client.reader.read_exact(&mut hello).await.expect("a hello");
        Hello::decode(&hello).expect("a hello");
        client.send(&[0, 0, 0, 3]).await;
        self
    }

    /// In transmission, with structured replies and `base:allocation`.
    pub(crate) async fn ready(server: &Server, exports: &Exports) -> Self {
        Self::greeted(server, exports).await.agree().await
    }

    /// Agrees on structured replies and `base:allocation`, and begins transmission.
    pub(crate) async fn agree(mut self) -> Self {
        let client = &mut self;
        let replies = client.option(number::STRUCTURED_REPLY, b"").await;
        assert_eq!(replies.last().expect("a reply").0, ReplyType::Ack);
        let contexts = encode_context_request("disk", &[BASE_ALLOCATION]);
        client.option(number::SET_META_CONTEXT, &contexts).await;
        client.go("disk").await;
        self
    }

    /// In transmission, with simple replies only.
    pub(crate) async fn simple(server: &Server, exports: &Exports) -> Self {
        let mut client = Self::greeted(server, exports).await;
        client.go("disk").await;
        client
    }

    pub(crate) async fn go(&mut self, name: &str) {
        let replies = self.option(number::GO, &encode_info_request(name, &[])).await;
        assert_eq!(replies.last().expect("a reply").0, ReplyType::Ack);
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.expect("the server reads");
    }

    /// Sends an option, and returns its replies.
    pub(crate) async fn option(&mut self, number: u32, data: &[u8]) -> Vec<(ReplyType, Vec<u8>)> {
        let header = OptionHeader { number, len: data.len() as u32 };
        self.send(&[&header.encode(), data].concat()).await;
        self.option_replies(number).await
    }

    pub(crate) async fn option_replies(&mut self, number: u32) -> Vec<(ReplyType, Vec<u8>)> {
        let mut replies = Vec::new();
        loop {
            let mut header = [0; OptionReplyHeader::LEN];
            self.reader.read_exact(&mut header).await.expect("a reply");
            let header = OptionReplyHeader::decode(&header).expect("a reply");
            assert_eq!(header.option, number);
            let mut data = vec![0; header.len as usize];
            self.reader.read_exact(&mut data).await.expect("its data");
            replies.push((header.reply, data));
            if matches!(header.reply, ReplyType::Ack | ReplyType::Error(_)) {
                return replies;
            }
        }
    }

    /// Sends a request without a payload, and returns it.
    pub(crate) async fn request(
        &mut self,
        command: Command,
        flags: CommandFlags,
        offset: u64,
        len: usize,
    ) -> Request {
        self.cookie += 1;
        let request = Request { flags, command, cookie: self.cookie, offset, len: len as u32 };
        self.send(&request.encode()).await;
        request
    }

    /// Sends a request without a payload, and waits for its reply.
    pub(crate) async fn call(
        &mut self,
        command: Command,
        flags: CommandFlags,
        offset: u64,
        len: usize,
    ) -> Reply {
        let request = self.request(command, flags, offset, len).await;
        let data = if command == Command::Read { len } else { 0 };
        let reply = self.reply(data).await;
        assert_eq!(reply.cookie, request.cookie);
        reply
    }

    /// Writes, and waits for the reply.
    pub(crate) async fn write(&mut self, flags: CommandFlags, offset: u64, data: &[u8]) -> Reply {
        self.request(Command::Write, flags, offset, data.len()).await;
        self.send(data).await;
        self.reply(0).await
    }

    /// Reads, and returns the data.
    pub(crate) async fn read(&mut self, offset: u64, len: usize) -> Vec<u8> {
        self.call(Command::Read, CommandFlags::NONE, offset, len).await.data(offset, len)
    }

    /// The next reply, whose chunks are not interrupted by those of another. `data` is what a simple reply has.
    pub(crate) async fn reply(&mut self, data: usize) -> Reply {
        let magic = self.magic().await;
        self.reply_of(magic, data).await
    }

    /// What a reply begins with.
    pub(crate) async fn magic(&mut self) -> [u8; 4] {
        let mut magic = [0; 4];
        self.reader.read_exact(&mut magic).await.expect("a reply");
        magic
    }

    /// As [`reply`](Self::reply), of which the beginning was read.
    pub(crate) async fn reply_of(&mut self, mut magic: [u8; 4], data: usize) -> Reply {
        let mut reply = Reply { cookie: 0, error: None, parts: Vec::new(), extents: Vec::new() };
        loop {
            let mut header = magic.to_vec();
            header.resize(ReplyHeader::len_of(magic).expect("a reply"), 0);
            self.reader.read_exact(&mut header[4..]).await.expect("its header");
            match ReplyHeader::decode(&header).expect("a reply") {
                ReplyHeader::Simple(simple) => {
                    reply.cookie = simple.cookie;
                    reply.error = simple.error.map(|error| (error, None));
                    if simple.error.is_none() && data > 0 {
                        let mut part = vec![0; data];
                        self.reader.read_exact(&mut part).await.expect("its data");
                        reply.parts.push((0, part));
                    }
                    return reply;
                }
                ReplyHeader::Chunk(chunk) => {
                    reply.cookie = chunk.cookie;
                    let mut contents = vec![0; chunk.len as usize];
                    self.reader.read_exact(&mut contents).await.expect("its contents");
                    reply.add(chunk.kind, &contents);
                    if chunk.done {
                        return reply;
                    }
                    magic = self.magic().await;
                }
            }
        }
    }

    /// Whether the server closes the connection without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        // A socket that is closed over unread bytes reports a reset.
        matches!(self.reader.read(&mut byte).await, Ok(0) | Err(_))
    }

    /// Asks something else, to see that the connection is in step.
    pub(crate) async fn assert_alive(&mut self) {
        let reply = self.call(Command::Read, CommandFlags::NONE, 0, 512).await;
        assert!(reply.error.is_none());
    }

    /// Disconnects in good order.
    pub(crate) async fn disconnect(mut self) {
        self.request(Command::Disconnect, CommandFlags::NONE, 0, 0).await;
        assert!(self.is_closed().await);
        drop((self.reader, self.writer));
        let ending = self.served.await.expect("no panic").expect("a good end");
        assert_eq!(ending, Ending::Disconnected);
    }
}

impl Reply {
    fn add(&mut self, kind: ChunkType, contents: &[u8]) {
        match kind {
            ChunkType::None => assert!(contents.is_empty()),
            ChunkType::OffsetData => {
                assert!(contents.len() > 8, "a chunk of data has data");
                let offset = u64::from_be_bytes(contents[..8].try_into().expect("8 of 8"));
                self.parts.push((offset, contents[8..].to_vec()));
            }
            ChunkType::OffsetHole => {
                let (offset, len) = decode_hole(contents).expect("a hole");
                self.parts.push((offset, vec![0; len as usize]));
            }
            ChunkType::BlockStatus => {
                let (_, extents) = decode_block_status(contents).expect("extents");
                self.extents = extents.iter().map(|e| (e.len, e.flags.0)).collect();
            }
            kind => {
                let error = ErrorChunk::decode(kind, contents).expect("an error");
                self.error = Some((error.error, error.offset));
            }
        }
    }

    pub(crate) fn code(&self) -> Option<Errno> {
        self.error.map(|(error, _)| error)
    }

    /// The data of a read, which have to cover it exactly.
    pub(crate) fn data(mut self, offset: u64, len: usize) -> Vec<u8> {
        assert_eq!(self.error, None);
        if let [(0, part)] = &mut self.parts[..]
            && part.len() == len
        {
            return std::mem::take(part);
        }
        self.parts.sort();
        let mut data = Vec::new();
        for (at, part) in self.parts {
            assert_eq!(at, offset + data.len() as u64, "chunks neither overlap nor leave a gap");
            data.extend(part);
        }
        assert_eq!(data.len(), len);
        data
    }
}

/// Waits for something that happens sooner or later.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

/// The same where time stands still while somebody is awake.
pub(crate) async fn until_idle(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
