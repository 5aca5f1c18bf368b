//! Storage that fails.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alts_nbd::backend::{Backend, Capabilities, FileBackend, FileOptions, MemoryBackend, Zeroing};
use alts_nbd::export::Strategy;
use alts_nbd::server::ConnectionError;
use alts_nbd::wire::Errno;
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::request::Command;

use super::raw::{Client, MIB, exports, pattern, pattern_memory, server};

const NONE: CommandFlags = CommandFlags::NONE;

/// Memory that fails from a certain offset on, or from a certain call on.
struct Failing {
    memory: MemoryBackend,
    from: u64,
    kind: io::ErrorKind,
    flushes: AtomicUsize,
}

impl Failing {
    fn check(&self, end: u64) -> io::Result<()> {
        if end > self.from { Err(self.kind.into()) } else { Ok(()) }
    }
}

impl Backend for Failing {
    fn size(&self) -> u64 {
        self.memory.size()
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.check(offset + buf.len() as u64)?;
        self.memory.read(offset, buf)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(offset + data.len() as u64)?;
        self.memory.write(offset, data)
    }

    fn flush(&self) -> io::Result<()> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.check(self.size())
    }

    fn trim(&self, range: Range<u64>) -> io::Result<()> {
        self.check(range.end)
    }

    fn zero(&self, range: Range<u64>, zeroing: Zeroing) -> io::Result<()> {
        if zeroing.fast {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.check(range.end)
    }
}

fn failing(from: usize, kind: io::ErrorKind) -> Arc<Failing> {
    let (memory, flushes) = (pattern_memory(4 * MIB), AtomicUsize::new(0));
    Arc::new(Failing { memory, from: from as u64, kind, flushes })
}

#[tokio::test]
async fn a_late_error_of_a_read_is_reported_and_the_connection_lives() {
    let backend = failing(MIB, io::ErrorKind::Other);
    let (server, exports) = (server(4 * MIB), exports(backend, Strategy::default()));
    let mut client = Client::ready(&server, &exports).await;
    let reply = client.call(Command::Read, NONE, 0, 2 * MIB).await;
    assert_eq!(reply.error, Some((Errno::Io, Some(MIB as u64))), "and where it happened");
    let before: usize = reply.parts.iter().map(|(_, data)| data.len()).sum();
    assert_eq!(before, MIB, "what came before was sent");
    client.assert_alive().await;

    // One chunk has to be completed before the error.
    let reply = client.call(Command::Read, CommandFlags::DF, 0, 2 * MIB).await;
    assert_eq!(reply.code(), Some(Errno::Io));
    assert_eq!(reply.parts.len(), 1);
    assert_eq!(reply.parts[0].1.len(), 2 * MIB);
    assert!(reply.parts[0].1[..MIB] == pattern(0, MIB));
    assert!(reply.parts[0].1[MIB..].iter().all(|&byte| byte == 0));
    client.assert_alive().await;
    client.disconnect().await;

    // A simple reply has no way to tell.
    let mut client = Client::simple(&server, &exports).await;
    let first = client.call(Command::Read, NONE, MIB as u64, 512).await;
    assert_eq!(first.code(), Some(Errno::Io), "before the reply has begun there is one");
    client.assert_alive().await;
    client.request(Command::Read, NONE, 0, 2 * MIB).await;
    let mut all = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut client.reader, &mut all).await;
    assert!(all.len() >= MIB, "{} bytes before it is closed", all.len());
    assert!(all.len() < 2 * MIB, "nobody takes it for a whole reply");
    let error = client.served.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectionError::Broken), "{error}");
}

#[tokio::test]
async fn errors_of_writes_come_after_the_payload() {
    for (kind, expected) in [
        (io::ErrorKind::StorageFull, Errno::NoSpc),
        (io::ErrorKind::QuotaExceeded, Errno::NoSpc),
        (io::ErrorKind::FileTooLarge, Errno::NoSpc),
        (io::ErrorKind::Other, Errno::Io),
        (io::ErrorKind::PermissionDenied, Errno::Perm),
        (io::ErrorKind::UnexpectedEof, Errno::Io),
    ] {
        let (server, exports) = (server(4 * MIB), exports(failing(MIB, kind), Strategy::default()));
        let mut client = Client::ready(&server, &exports).await;
        for len in [MIB + 1, 3 * MIB] {
            let reply = client.write(NONE, 0, &vec![1; len]).await;
            assert_eq!(reply.code(), Some(expected));
            client.assert_alive().await;
        }
        for (command, flags) in [
            (Command::Flush, NONE),
            (Command::Trim, NONE),
            (Command::WriteZeroes, NONE),
            (Command::Trim, CommandFlags::FUA),
        ] {
            let reply = client.call(command, flags, 0, 2 * MIB).await;
            assert_eq!(reply.code(), Some(expected), "{command:?}");
        }
        let fast = client.call(Command::WriteZeroes, CommandFlags::FAST_ZERO, 0, MIB).await;
        assert_eq!(fast.code(), Some(Errno::NotSup));
        client.assert_alive().await;
        client.disconnect().await;
    }
}

#[tokio::test]
async fn fua_is_stable_before_it_is_answered() {
    let backend = failing(4 * MIB, io::ErrorKind::Other);
    let (server, exports) =
        (server(4 * MIB), exports(Arc::clone(&backend) as _, Strategy::default()));
    let mut client = Client::ready(&server, &exports).await;
    let mut expected = 0;
    for (len, flags) in [
        (1000, CommandFlags::FUA),
        (1000, NONE),
        // Several pieces are made stable once.
        (3 * MIB, CommandFlags::FUA),
        (3 * MIB, NONE),
    ] {
        assert_eq!(client.write(flags, 0, &vec![1; len]).await.code(), None);
        expected += usize::from(flags == CommandFlags::FUA);
        assert_eq!(backend.flushes.load(Ordering::Relaxed), expected, "{len} {flags:?}");
    }
    client.call(Command::Flush, NONE, 0, 0).await;
    client.call(Command::WriteZeroes, CommandFlags::FUA, 0, MIB).await;
    client.call(Command::Trim, CommandFlags::FUA, 0, MIB).await;
    client.call(Command::Read, CommandFlags::FUA, 0, 512).await;
    let flushes = backend.flushes.load(Ordering::Relaxed);
    assert_eq!(flushes, expected + 3);
    client.disconnect().await;
}

#[tokio::test]
async fn a_backend_that_panics_costs_one_request() {
    struct Panics;

    impl Backend for Panics {
        fn size(&self) -> u64 {
            MIB as u64
        }

        fn read(&self, offset: u64, _buf: &mut [u8]) -> io::Result<()> {
            assert_eq!(offset, 0, "as the test wants it");
            Ok(())
        }
    }

    let (server, exports) = (server(4 * MIB), exports(Arc::new(Panics), Strategy::default()));
    let mut client = Client::ready(&server, &exports).await;
    let reply = client.call(Command::Read, NONE, 512, 512).await;
    assert_eq!(reply.code(), Some(Errno::Io));
    client.assert_alive().await;
    client.disconnect().await;
    assert_eq!(server.pool().stats().in_use_bytes, 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_was_truncated_beneath_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(4 * MIB as u64).unwrap();
    let backend = FileBackend::open(file.path(), FileOptions::default()).unwrap();
    let (server, exports) = (server(4 * MIB), exports(Arc::new(backend), Strategy::default()));
    let mut client = Client::ready(&server, &exports).await;
    assert_eq!(client.write(NONE, 3 * MIB as u64, b"data").await.code(), None);
    file.as_file().set_len(MIB as u64).unwrap();
    let reply = client.call(Command::Read, NONE, 0, 2 * MIB).await;
    assert_eq!(reply.error, Some((Errno::Io, Some(MIB as u64))));
    client.assert_alive().await;
    client.disconnect().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk() {
    // Writing to this device fails with ENOSPC, always.
    struct Full(std::fs::File);

    impl Backend for Full {
        fn size(&self) -> u64 {
            MIB as u64
        }

        fn read(&self, _offset: u64, buf: &mut [u8]) -> io::Result<()> {
            buf.fill(0);
            Ok(())
        }

        fn capabilities(&self) -> Capabilities {
            let mut capabilities = Capabilities::default();
            capabilities.write = true;
            capabilities
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            std::os::unix::fs::FileExt::write_all_at(&self.0, data, offset)
        }
    }

    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (server, exports) = (server(4 * MIB), exports(Arc::new(Full(full)), Strategy::default()));
    let mut client = Client::ready(&server, &exports).await;
    assert_eq!(client.write(NONE, 0, &[1; 1000]).await.code(), Some(Errno::NoSpc));
    let zeroes = client.call(Command::WriteZeroes, NONE, 0, 4096).await;
    assert_eq!(zeroes.code(), Some(Errno::NoSpc), "zeroes are written by default");
    client.assert_alive().await;
    client.disconnect().await;
}
