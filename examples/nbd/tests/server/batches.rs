//! Small requests that arrive together are answered together.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use alts_nbd::backend::{Backend, Capabilities, MemoryBackend};
use alts_nbd::export::{Exports, Strategy};
use alts_nbd::server::Server;
use alts_nbd::wire::Errno;
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::request::{Command, Request};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::raw::{Client, MIB, exports, pattern, pattern_exports, pattern_memory, server};

/// A stream that counts how often something is written to it.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A client in transmission over a pipe with that much room, and the count of writes to it.
async fn over_pipe(
    server: &Server,
    exports: &Exports,
    room: usize,
    structured: bool,
) -> (Client, Arc<AtomicUsize>) {
    let (near, far) = duplex(room);
    let writes = Arc::<AtomicUsize>::default();
    let far = Counted(far, Arc::clone(&writes));
    let (server, exports) = (server.clone(), exports.clone());
    let served = tokio::spawn(async move { server.serve(far, exports).await });
    let client = Client::on(near, served).await;
    let client = match structured {
        true => client.agree().await,
        false => {
            let mut client = client;
            client.go("disk").await;
            client
        }
    };
    (client, writes)
}

fn read(cookie: u64, offset: usize, len: usize) -> Request {
    let (flags, command) = (CommandFlags::NONE, Command::Read);
    Request { flags, command, cookie, offset: offset as u64, len: len as u32 }
}

fn encoded(requests: &[Request]) -> Vec<u8> {
    requests.iter().flat_map(|request| request.encode()).collect()
}

#[tokio::test]
async fn replies_to_what_arrived_together_leave_in_one_write() {
    for structured in [true, false] {
        let (server, exports) = (server(4 * MIB), pattern_exports(MIB));
        let (mut client, writes) = over_pipe(&server, &exports, MIB, structured).await;
        let requests: Vec<_> = (0..15).map(|n| read(100 + n, 4096 * n as usize, 4096)).collect();
        let before = writes.load(Ordering::Relaxed);
        client.send(&encoded(&requests)).await;
        for request in &requests {
            let reply = client.reply(4096).await;
            assert_eq!(reply.cookie, request.cookie);
            let offset = request.offset as usize;
            assert!(reply.data(request.offset, 4096) == pattern(offset, 4096));
        }
        assert_eq!(writes.load(Ordering::Relaxed) - before, 1);
        let figures = server.figures();
        assert_eq!((figures.read_bytes, figures.in_flight), (15 * 4096, 0));
        client.disconnect().await;
        assert_eq!(server.pool().stats().in_use_bytes, 0);
    }
}

#[tokio::test]
async fn replies_to_small_writes_leave_together() {
    let memory = Arc::new(MemoryBackend::new(MIB as u64));
    let (server, exports) = (server(4 * MIB), exports(memory, Strategy::Unbuffered));
    let (mut client, writes) = over_pipe(&server, &exports, MIB, true).await;
    let mut bytes = Vec::new();
    for cookie in 1..=10_usize {
        let command = Command::Write;
        bytes.extend(Request { command, ..read(cookie as u64, cookie * 1000, 900) }.encode());
        bytes.extend(pattern(cookie, 900));
    }
    let before = writes.load(Ordering::Relaxed);
    client.send(&bytes).await;
    for cookie in 1..=10 {
        let reply = client.reply(0).await;
        assert_eq!((reply.cookie, reply.error), (cookie, None));
    }
    assert_eq!(writes.load(Ordering::Relaxed) - before, 1);
    for n in 1..=10 {
        assert_eq!(client.read(n * 1000, 900).await, pattern(n as usize, 900));
    }
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_within_a_batch_holds_nothing_and_gets_the_rest() {
    // What fits before the client stops: less than a header, ends of replies and their neighbors, the middle of data.
    let reply = 28 + 4096;
    for room in [1, 27, 28, 29, 64, 100, reply - 1, reply, reply + 1, reply + 30, 3 * reply, 30_000]
    {
        for structured in [true, false] {
            let (server, exports) = (server(MIB), pattern_exports(MIB));
            let (mut client, _) = over_pipe(&server, &exports, room, structured).await;
            // Simple replies do not say how long they are.
            let lens = if structured { [4096, 1, 16 << 10] } else { [4096; 3] };
            let requests: Vec<_> =
                (0..9).map(|n| read(n, 5000 * n as usize, lens[n as usize % 3])).collect();
            let bytes = encoded(&requests);
            // The pipe may have less room than the requests.
            let (mut reader, mut writer) = (client.reader, client.writer);
            let sending = tokio::spawn(async move {
                tokio::io::AsyncWriteExt::write_all(&mut writer, &bytes).await.unwrap();
                writer
            });
            super::raw::until_idle(|| {
                server.figures().in_flight == 9 || server.figures().released > 0
            })
            .await;
            super::raw::until_idle(|| server.pool().stats().in_use_bytes == 0).await;
            let mut seen = Vec::new();
            (client.reader, client.writer) =
                (Box::new(tokio::io::empty()), Box::new(tokio::io::sink()));
            std::mem::swap(&mut client.reader, &mut reader);
            while seen.len() < 9 {
                let magic = client.magic().await;
                let reply = client.reply_of(magic, 4096).await;
                let request = requests[reply.cookie as usize];
                assert!(
                    reply.data(request.offset, request.len as usize)
                        == pattern(request.offset as usize, request.len as usize)
                );
                seen.push(request.cookie);
            }
            client.writer = sending.await.unwrap();
            client.disconnect().await;
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8], "with room for {room}");
            let stats = server.pool().stats();
            assert_eq!((stats.in_use_bytes, server.figures().in_flight), (0, 0));
        }
    }
}

/// Memory of which one sector cannot be read.
struct Scratched(MemoryBackend);

impl Backend for Scratched {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match offset {
            4096 => Err(io::ErrorKind::Other.into()),
            _ => self.0.read(offset, buf),
        }
    }
}

#[tokio::test]
async fn an_error_among_others_is_that_of_one_request() {
    for structured in [true, false] {
        let backend = Arc::new(Scratched(pattern_memory(MIB)));
        let (server, exports) = (server(4 * MIB), exports(backend, Strategy::default()));
        let (mut client, _) = over_pipe(&server, &exports, MIB, structured).await;
        let requests: Vec<_> = (0..3).map(|n| read(n, 4096 * n as usize, 4096)).collect();
        client.send(&encoded(&requests)).await;
        let mut failed = Vec::new();
        for _ in 0..3 {
            let reply = client.reply(4096).await;
            match reply.error {
                Some((error, at)) => {
                    assert_eq!((error, at), (Errno::Io, structured.then_some(4096)));
                    failed.push(reply.cookie);
                }
                None => {
                    let offset = 4096 * reply.cookie;
                    assert!(reply.data(offset, 4096) == pattern(offset as usize, 4096));
                }
            }
        }
        assert_eq!(failed, [1]);
        client.disconnect().await;
    }
}
