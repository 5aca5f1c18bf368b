//! Backends that move bytes themselves.

use std::io;
use std::sync::Arc;

use alts_nbd::backend::{Backend, Capabilities, MemoryBackend, Sink, SliceBackend, Source};
use alts_nbd::export::Strategy;
use alts_nbd::server::ConnectionError;
use alts_nbd::wire::Errno;
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::request::Command;

use super::raw::{Client, MIB, exports, pattern, pattern_memory, server, until};

const NONE: CommandFlags = CommandFlags::NONE;
const STRATEGY: Strategy = Strategy::Unbuffered;

#[tokio::test]
async fn memory_needs_no_buffer() {
    let memory: Arc<dyn Backend> = Arc::new(MemoryBackend::new(9 * MIB as u64));
    let slice = SliceBackend::new(Arc::clone(&memory), MIB as u64..9 * MIB as u64).unwrap();
    let (server, exports) = (server(MIB), exports(Arc::new(slice), STRATEGY));
    let mut client = Client::ready(&server, &exports).await;
    let data = pattern(7, 5 * MIB + 1234);
    assert_eq!(client.write(NONE, 77_777, &data).await.code(), None);
    assert!(client.read(77_777, data.len()).await == data);
    assert!(client.read(0, 77_777).await.iter().all(|&byte| byte == 0));
    let reply = client.call(Command::Read, CommandFlags::DF, 77_777, data.len()).await;
    assert_eq!(reply.parts.len(), 1);
    assert!(reply.data(77_777, data.len()) == data);
    let mut back = vec![0; data.len()];
    memory.read(MIB as u64 + 77_777, &mut back).unwrap();
    assert!(back == data);
    client.disconnect().await;
    let figures = server.figures();
    assert_eq!(figures.written_bytes, data.len() as u64);
    assert_eq!(figures.read_bytes, 2 * data.len() as u64 + 77_777);
    // The reply to the write alone.
    assert!(server.pool().stats().high_water_bytes <= 4096 + 512);
}

#[tokio::test]
async fn clients_that_stop_hold_nothing_from_the_start() {
    let memory = Arc::new(pattern_memory(8 * MIB));
    let (server, exports) = (server(MIB), exports(memory, STRATEGY));
    let mut stuck = Vec::new();
    for _ in 0..16 {
        let mut reader = Client::ready(&server, &exports).await;
        reader.request(Command::Read, NONE, 0, 8 * MIB).await;
        let mut writer = Client::ready(&server, &exports).await;
        writer.request(Command::Write, NONE, MIB as u64, 3 * MIB).await;
        writer.send(&pattern(MIB, MIB + 77)).await;
        stuck.push((reader, writer));
    }
    until(|| server.figures().written_bytes >= 16 * (MIB as u64 + 77)).await;
    assert_eq!(server.pool().stats().high_water_bytes, 0);
    for (mut reader, mut writer) in stuck {
        writer.send(&pattern(2 * MIB + 77, 2 * MIB - 77)).await;
        assert_eq!(writer.reply(0).await.code(), None);
        assert!(reader.reply(0).await.data(0, 8 * MIB) == pattern(0, 8 * MIB));
        reader.disconnect().await;
        writer.disconnect().await;
    }
    assert_eq!(server.figures().released, 0);
    assert_eq!(server.pool().stats().in_use_bytes, 0);
}

/// Memory that passes bytes on up to an offset, and then fails or leaves the rest to the server.
struct Partly {
    memory: MemoryBackend,
    until: u64,
    fails: bool,
    blocks: bool,
}

impl Partly {
    /// What to do with a range: its part that is passed on, or what to answer instead.
    fn part(&self, offset: u64, len: usize) -> Result<usize, Option<io::Result<usize>>> {
        match self.until.saturating_sub(offset) {
            0 if self.fails => Err(Some(Err(io::ErrorKind::StorageFull.into()))),
            0 => Err(None),
            left => Ok(len.min(left as usize)),
        }
    }
}

impl Backend for Partly {
    fn size(&self) -> u64 {
        self.memory.size()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.memory.capabilities();
        capabilities.blocks = self.blocks;
        capabilities
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, buf)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }

    fn read_to(&self, offset: u64, len: usize, sink: &mut dyn Sink) -> Option<io::Result<usize>> {
        match self.part(offset, len) {
            Ok(len) => self.memory.read_to(offset, len, sink),
            Err(other) => other,
        }
    }

    fn write_from(
        &self,
        offset: u64,
        len: usize,
        source: &mut dyn Source,
    ) -> Option<io::Result<usize>> {
        match self.part(offset, len) {
            Ok(len) => self.memory.write_from(offset, len, source),
            Err(other) => other,
        }
    }
}

fn partly(until: usize, fails: bool, blocks: bool) -> Arc<Partly> {
    Arc::new(Partly { memory: pattern_memory(8 * MIB), until: until as u64, fails, blocks })
}

#[tokio::test]
async fn what_the_backend_leaves_is_read_by_the_server() {
    // In the middle of a chunk, at its start, at once, never.
    for until in [MIB + 100_000, MIB, 0, 8 * MIB] {
        let (server, exports) = (server(MIB), exports(partly(until, false, true), STRATEGY));
        let mut client = Client::ready(&server, &exports).await;
        assert!(client.read(5, 3 * MIB).await == pattern(5, 3 * MIB));
        client.disconnect().await;
        let mut client = Client::simple(&server, &exports).await;
        assert!(client.read(5, 3 * MIB).await == pattern(5, 3 * MIB));
        assert_eq!(client.write(NONE, 0, &pattern(9, 2 * MIB)).await.code(), None);
        assert!(client.read(0, 2 * MIB).await == pattern(9, 2 * MIB));
        client.disconnect().await;
        assert_eq!(server.pool().stats().in_use_bytes, 0);
    }
    // A payload as a whole, since it does not wait.
    let (server, exports) = (server(MIB), exports(partly(0, false, false), STRATEGY));
    let mut client = Client::ready(&server, &exports).await;
    assert_eq!(client.write(NONE, 0, &pattern(9, 2 * MIB)).await.code(), None);
    assert!(client.read(0, 2 * MIB).await == pattern(9, 2 * MIB));
    client.disconnect().await;
}

#[tokio::test]
async fn failures_in_the_middle() {
    let at = MIB + 100_000;
    let (server, exports) = (server(MIB), exports(partly(at, true, true), STRATEGY));
    let mut client = Client::ready(&server, &exports).await;
    for flags in [NONE, CommandFlags::DF] {
        let reply = client.call(Command::Read, flags, 0, 3 * MIB).await;
        assert_eq!(reply.error, Some((Errno::NoSpc, Some(at as u64))), "and the place");
        client.assert_alive().await;
    }
    let reply = client.call(Command::Read, NONE, 2 * MIB as u64, 3 * MIB).await;
    assert_eq!(reply.error, Some((Errno::NoSpc, Some(2 * MIB as u64))));
    assert!(reply.parts.is_empty(), "nothing was sent before");
    client.disconnect().await;

    // A backend that never waits is trusted to have it all.
    let (server, exports) =
        (super::raw::server(MIB), super::raw::exports(partly(at, true, false), STRATEGY));
    let mut client = Client::ready(&server, &exports).await;
    let reply = client.write(NONE, 0, &vec![1; 3 * MIB]).await;
    assert_eq!(reply.code(), Some(Errno::NoSpc));
    client.assert_alive().await;
    client.request(Command::Read, NONE, MIB as u64, 200_000).await;
    let mut all = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut client.reader, &mut all).await;
    assert!(all.len() < 28 + 200_000, "it does not look complete");
    let error = client.served.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectionError::Broken), "{error}");
}

#[cfg(target_os = "linux")]
mod files {
    use alts_nbd::backend::{FileBackend, FileOptions};
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;

    async fn over_socket(server: &super::super::raw::ServerAndExports, tcp: bool) -> Client {
        let (server, exports) = server.clone();
        if tcp {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            let served = tokio::spawn(async move { server.serve_socket(far, exports).await });
            return Client::on(near, served).await.agree().await;
        }
        let (near, far) = UnixStream::pair().unwrap();
        let served = tokio::spawn(async move { server.serve_socket(far, exports).await });
        Client::on(near, served).await.agree().await
    }

    #[tokio::test]
    async fn the_kernel_sends_what_is_in_the_page_cache() {
        for tcp in [false, true] {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(8 * MIB as u64).unwrap();
            let backend = FileBackend::open(file.path(), FileOptions::default()).unwrap();
            backend.write(0, &pattern(0, 8 * MIB)).unwrap();
            // Not every file system answers whether something is in the cache.
            let answers = backend.read_now(0, &mut [0; 10]).is_some();
            let both = (server(4 * MIB), exports(Arc::new(backend), STRATEGY));
            let mut client = over_socket(&both, tcp).await;
            assert!(client.read(1001, 7 * MIB).await == pattern(1001, 7 * MIB));
            assert!(client.read(5, 32 << 10).await == pattern(5, 32 << 10));
            if answers {
                assert_eq!(both.0.pool().stats().high_water_bytes, 0);
            }
            // Less is faster by a buffer, and has no chunk behind it that says that nothing failed.
            assert!(client.read(5, 4096).await == pattern(5, 4096));
            assert!(both.0.pool().stats().high_water_bytes > 0);
            // Payloads have buffers.
            assert_eq!(client.write(NONE, 5, &pattern(0, 3 * MIB)).await.code(), None);
            assert!(client.read(5, 3 * MIB).await == pattern(0, 3 * MIB));

            file.as_file().set_len(MIB as u64 + 1000).unwrap();
            let reply = client.call(Command::Read, NONE, 0, 2 * MIB).await;
            assert_eq!(reply.code(), Some(Errno::Io));
            assert!(client.read(0, 512).await.len() == 512, "the connection lives");
            client.disconnect().await;
            assert_eq!(both.0.pool().stats().in_use_bytes, 0);
        }
    }
}
