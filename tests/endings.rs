//! How streams end: in time, once, with everything that was written, and with the same error each time.

mod support;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use alts::connect::Settings;
use alts::ready::ReadyReader;
use alts::{Error, ReuniteError, Truncation};
use support::pair::{Pair, pair};
use support::polling::{Wakes, error_of, flush, read, shutdown, write};
use support::{CLIENT, Parties, SERVER, assert_nothing_out, pattern};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

fn broken(kind: io::ErrorKind) -> Error {
    Error::from(io::Error::from(kind))
}

/// The peer's closing record arrives after its request was read, and lies in the socket when the server is done with its
/// answer. Dropping the socket over it would reset the connection before the client has everything.
#[tokio::test]
async fn an_answer_is_not_cut_off_by_the_close_of_who_asked() {
    const ANSWER: usize = 200 << 10;
    let parties = Parties::new();
    let listener = TcpSocket::new_v4().unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(1).unwrap();
    let client = TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(8 << 10).unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(client.connect(address), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap().0);
    // All of the answer fits into what the server's kernel holds, most of it unsent.
    socket2::SockRef::from(&server).set_send_buffer_size(1 << 20).unwrap();
    let mut unlimited = Settings::default();
    unlimited.unsent_limit = None;
    let (mut client, mut server) =
        parties.pair_over(client, server, unlimited.clone(), unlimited).await;

    client.write_all(b"a request").await.unwrap();
    server.read_exact(&mut [0; 9]).await.unwrap();
    client.shutdown().await.unwrap();
    assert_ne!(server.get_ref().peek(&mut [0; 1]).await.unwrap(), 0, "the close has arrived");
    server.write_all(&pattern(ANSWER)).await.unwrap();
    server.shutdown().await.unwrap();
    assert!(server.peer_closed_authenticated(), "the close was taken out of the socket");
    drop(server);

    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer == pattern(ANSWER));
    assert!(client.peer_closed_authenticated());
}

/// What lies in the socket when a stream is shut down need not be a close, nor all of it be there.
#[tokio::test]
async fn a_shutdown_loses_nothing_that_can_be_read() {
    for text in [&b""[..], b"x", b"a longer text that does not fit into 24 bytes"] {
        for split in [0, 1, 4, 8, 23, 24] {
            let Pair { mut near, near_control, mut far, pool } = pair(|_| ()).await;
            far.write_all(text).await.unwrap();
            shutdown(&mut far).unwrap().unwrap();
            let mut all = near_control.take_arriving();
            let later = all.split_off(split.min(all.len()));
            near_control.inject(&all);
            shutdown(&mut near).unwrap().unwrap();
            near_control.inject(&later);
            let mut received = Vec::new();
            near.read_to_end(&mut received).await.unwrap();
            assert_eq!(received, text, "{split}");
            assert!(near.peer_closed_authenticated());
            assert_nothing_out(&pool);
        }
    }
}

/// A task that waits to read would not be woken any more if another one looked at the socket in its place.
#[tokio::test]
async fn a_shutdown_takes_no_wake_up_from_a_reader() {
    let Pair { mut near, mut far, .. } = pair(|_| ()).await;
    let (reader, waker) = Wakes::new();
    let mut bytes = [0; 100];
    let mut buf = ReadBuf::new(&mut bytes);
    let pending = Pin::new(&mut near).poll_read(&mut Context::from_waker(&waker), &mut buf);
    assert!(pending.is_pending());
    shutdown(&mut near).unwrap().unwrap();
    far.write_all(b"an answer").await.unwrap();
    assert!(reader.count() > 0, "the reader sleeps on");
    assert_eq!(read(&mut near).unwrap().unwrap(), b"an answer");
}

#[tokio::test]
async fn a_failed_write_is_not_sent_later() {
    for chunk in [usize::MAX, 10] {
        let Pair { mut near, near_control, mut far, pool } = pair(|_| ()).await;
        if chunk < usize::MAX {
            // Part of the record is with the peer already.
            near_control.script().capacity_left = Some(chunk);
            assert_eq!(write(&mut near, b"transfer 1;").unwrap().unwrap(), 11);
        }
        near_control.fail_writes(io::ErrorKind::ConnectionReset);
        let lost = broken(io::ErrorKind::ConnectionReset);
        assert_eq!(error_of(write(&mut near, b"transfer 1;")), lost);
        near_control.script().write_error = None;
        near_control.script().capacity_left = None;
        for _ in 0..2 {
            assert_eq!(error_of(write(&mut near, b"transfer 1;")), lost);
            assert_eq!(error_of(flush(&mut near)), lost);
        }
        assert_eq!(error_of(shutdown(&mut near)), lost);
        let counts = near_control.take_counts();
        assert_eq!((counts.written, counts.shutdowns), (if chunk < 11 { chunk } else { 0 }, 1));
        let at = match chunk {
            usize::MAX => Truncation::MissingClose,
            _ => Truncation::Record,
        };
        assert_eq!(error_of(read(&mut far)), Error::Truncated { at });
        // The other direction goes on.
        far.write_all(b"still here").await.unwrap();
        assert_eq!(read(&mut near).unwrap().unwrap(), b"still here");
        drop(near);
        assert_nothing_out(&pool);
    }
}

#[tokio::test]
async fn a_failed_shutdown_is_not_done_twice() {
    let Pair { mut near, near_control, mut far, .. } = pair(|_| ()).await;
    near_control.fail_writes(io::ErrorKind::ConnectionReset);
    let lost = broken(io::ErrorKind::ConnectionReset);
    assert_eq!(error_of(shutdown(&mut near)), lost);
    near_control.script().write_error = None;
    assert_eq!(error_of(write(&mut near, b"one more thing")), lost);
    assert_eq!(error_of(shutdown(&mut near)), lost);
    let counts = near_control.take_counts();
    assert_eq!((counts.written, counts.shutdowns), (0, 1), "the socket's direction ended once");
    let missing = Error::Truncated { at: Truncation::MissingClose };
    assert_eq!(error_of(read(&mut far)), missing);
}

#[tokio::test]
async fn nothing_is_written_after_a_shutdown_that_waits() {
    let Pair { mut near, near_control, mut far, .. } = pair(|_| ()).await;
    near_control.set_write_chunk(0);
    assert_eq!(write(&mut near, b"last words").unwrap().unwrap(), 10);
    assert!(shutdown(&mut near).is_none());
    assert_eq!(error_of(write(&mut near, b"one more thing")), Error::WriteAfterShutdown);
    near_control.set_write_chunk(usize::MAX);
    shutdown(&mut near).unwrap().unwrap();
    assert_eq!(read(&mut far).unwrap().unwrap(), b"last words");
    assert_eq!(read(&mut far).unwrap().unwrap(), b"");
    assert!(far.peer_closed_authenticated());
}

/// A client whose write fails looks for the server's reason in the socket. A reader in another task, under
/// `tokio::io::split`, is still to be woken by what comes.
#[tokio::test]
async fn a_failing_write_takes_no_wake_up_from_a_reader() {
    let Pair { mut near, near_control, mut far, .. } = pair(|_| ()).await;
    let (reader, waker) = Wakes::new();
    let mut bytes = [0; 100];
    for by_readiness in [false, true] {
        let cx = &mut Context::from_waker(&waker);
        let pending = match by_readiness {
            true => near.poll_readable(cx).is_pending(),
            false => Pin::new(&mut near).poll_read(cx, &mut ReadBuf::new(&mut bytes)).is_pending(),
        };
        assert!(pending);
    }
    near_control.fail_writes(io::ErrorKind::BrokenPipe);
    let (writer, waker) = Wakes::new();
    let failed = Pin::new(&mut near).poll_write(&mut Context::from_waker(&waker), b"a request");
    assert!(matches!(failed, Poll::Ready(Err(_))));
    assert_eq!((reader.count(), writer.count()), (0, 0));
    far.write_all(b"a reply").await.unwrap();
    assert!(reader.count() > 0, "the reader sleeps on");
    assert_eq!(read(&mut near).unwrap().unwrap(), b"a reply");
}

/// The peer has said all, and has everything that was written. Only the close finds nobody.
#[tokio::test]
async fn a_shutdown_after_the_peers_end_loses_nothing() {
    for read_first in [true, false] {
        let parties = Parties::new();
        let (mut near, mut far) = parties.unix_pair(Settings::default(), Settings::default()).await;
        far.shutdown().await.unwrap();
        drop(far);
        if read_first {
            assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0);
        } else {
            poll_fn(|cx| near.poll_readable(cx)).await.unwrap();
        }
        for _ in 0..2 {
            near.shutdown().await.unwrap();
        }
        assert!(near.peer_closed_authenticated());
    }
    // Without the peer's word for it, or with something unsent, it is a loss.
    let Pair { mut near, near_control, mut far, .. } = pair(|_| ()).await;
    near_control.set_write_chunk(0);
    assert_eq!(write(&mut near, b"unsent").unwrap().unwrap(), 6);
    shutdown(&mut far).unwrap().unwrap();
    assert_eq!(read(&mut near).unwrap().unwrap(), b"");
    near_control.fail_writes(io::ErrorKind::BrokenPipe);
    for _ in 0..2 {
        assert_eq!(error_of(shutdown(&mut near)), broken(io::ErrorKind::BrokenPipe));
    }
    let Pair { mut near, near_control, .. } = pair(|_| ()).await;
    near_control.fail_writes(io::ErrorKind::BrokenPipe);
    assert_eq!(error_of(shutdown(&mut near)), broken(io::ErrorKind::BrokenPipe));
}

#[tokio::test]
async fn halves_are_one_stream_again() {
    let parties = Parties::new();
    let (near, mut far) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    let (other, _other_far) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    let address = near.get_ref().local_addr().unwrap();

    let (mut read, mut write) = near.into_split();
    assert_eq!((read.peer().name(), write.peer().name()), (SERVER, SERVER));
    assert_eq!(read.negotiated(), write.negotiated());
    assert_eq!(read.get_ref().local_addr().unwrap(), address);
    assert_eq!(write.get_ref().local_addr().unwrap(), address);
    write.write_all(b"by half").await.unwrap();
    far.write_all(b"to half and whole").await.unwrap();
    read.read_exact(&mut [0; 7]).await.unwrap();

    let (other_read, other_write) = other.into_split();
    let ReuniteError(read, other_write) = read.reunite(other_write).unwrap_err();
    drop((other_read, other_write));
    let mut near = read.reunite(write).unwrap();
    let mut received = [0; 10];
    near.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b" and whole");
    near.write_all(b", as a whole").await.unwrap();
    near.shutdown().await.unwrap();
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"by half, as a whole");
    assert_eq!(far.peer().name(), CLIENT);
    assert!(far.peer_closed_authenticated());
    far.shutdown().await.unwrap();
    assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(near.peer_closed_authenticated());
}

/// What the kernel had refused, and part of a record, are there after the halves met again.
#[tokio::test]
async fn halves_bring_what_they_hold() {
    let Pair { mut near, near_control, mut far, pool } = pair(|_| ()).await;
    near_control.set_write_chunk(0);
    assert_eq!(write(&mut near, b"unsent").unwrap().unwrap(), 6);
    far.write_all(b"on its way").await.unwrap();
    let mut arriving = near_control.take_arriving();
    let later = arriving.split_off(20);
    near_control.inject(&arriving);
    assert!(read(&mut near).is_none());
    let (read_half, write_half) = near.into_split();
    let mut near = read_half.reunite(write_half).unwrap();
    near_control.set_write_chunk(usize::MAX);
    near_control.inject(&later);
    assert_eq!(read(&mut near).unwrap().unwrap(), b"on its way");
    assert_eq!(read(&mut far).unwrap().unwrap(), b"unsent");
    assert_nothing_out(&pool);
}

#[cfg(unix)]
#[tokio::test]
async fn the_socket_underneath_is_there_to_ask_and_to_take() {
    use std::os::fd::{AsFd, AsRawFd};
    let parties = Parties::new();
    let (near, _far) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    let descriptor = near.get_ref().as_raw_fd();
    assert_eq!(near.as_fd().as_raw_fd(), descriptor);
    let socket: TcpStream = near.into_inner();
    assert_eq!(socket.as_raw_fd(), descriptor);
    let (near, mut far) = parties.unix_pair(Settings::default(), Settings::default()).await;
    let mut socket: UnixStream = near.into_inner();
    socket.write_all(b"in plaintext").await.unwrap();
    far.read(&mut [0; 1]).await.unwrap_err();
}
