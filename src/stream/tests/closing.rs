//! Ends of the sending direction over a socket that fails or puts off.

use std::io::{self, ErrorKind, Read, Write};

use alts_handshaker::Role;

use super::super::AltsStream;
use super::{Ends, REKEY, sealed, stream};
use crate::error::Error;
use crate::record::OVERHEAD;

fn client() -> AltsStream<Ends> {
    stream(REKEY, Role::Client, 0).0
}

fn shutdown(stream: &mut AltsStream<Ends>) -> io::Result<()> {
    stream.channel.shutdown(&mut stream.io)
}

#[track_caller]
fn assert_fails(result: io::Result<()>, kind: ErrorKind) {
    assert_eq!(result.unwrap_err().kind(), kind);
}

#[test]
fn a_flush_that_fails_ends_sending() {
    let mut stream = client();
    stream.write_all(b"something").unwrap();
    stream.io.flush_error = Some(ErrorKind::WouldBlock);
    assert_fails(stream.flush(), ErrorKind::WouldBlock);
    stream.io.flush_error = None;
    stream.flush().unwrap();
    stream.io.flush_error = Some(ErrorKind::ConnectionReset);
    assert_fails(stream.flush(), ErrorKind::ConnectionReset);
    stream.io.flush_error = None;
    assert_fails(stream.flush(), ErrorKind::ConnectionReset);
    assert_fails(stream.write_all(b"more"), ErrorKind::ConnectionReset);
    assert_eq!(stream.io.outgoing.len(), 9 + OVERHEAD);
}

#[test]
fn a_shutdown_that_the_socket_puts_off_is_done_once() {
    let mut stream = client();
    stream.io.end_error = Some(ErrorKind::WouldBlock);
    for tried in 1..3 {
        assert_fails(shutdown(&mut stream), ErrorKind::WouldBlock);
        assert_eq!(stream.io.ended, tried);
    }
    let refused = stream.write(b"more").unwrap_err();
    assert_eq!(Error::of(&refused), Some(&Error::WriteAfterShutdown));
    stream.io.end_error = None;
    for _ in 0..2 {
        shutdown(&mut stream).unwrap();
        assert_eq!(stream.io.ended, 3);
    }
    assert_eq!(stream.io.outgoing.len(), OVERHEAD, "one close");
}

#[test]
fn a_shutdown_tells_what_failed_first() {
    use ErrorKind::{BrokenPipe, NotConnected};
    for (write_error, end_error, told) in [
        (None, Some(NotConnected), NotConnected),
        (Some(BrokenPipe), None, BrokenPipe),
        (Some(BrokenPipe), Some(NotConnected), BrokenPipe),
    ] {
        let mut stream = client();
        (stream.io.write_error, stream.io.end_error) = (write_error, end_error);
        for _ in 0..2 {
            assert_fails(shutdown(&mut stream), told);
            assert_eq!(stream.io.ended, 1);
        }
    }
}

#[test]
fn the_socket_is_shut_down_although_what_waited_fails() {
    for waiting in [&b""[..], b"something"] {
        let mut stream = client();
        stream.io.room = Some(0);
        stream.write_all(waiting).unwrap();
        assert_fails(shutdown(&mut stream), ErrorKind::WouldBlock);
        assert_eq!(stream.io.ended, 0, "what waits comes before the end");
        stream.io.write_error = Some(ErrorKind::BrokenPipe);
        for _ in 0..2 {
            assert_fails(shutdown(&mut stream), ErrorKind::BrokenPipe);
            assert_eq!(stream.io.ended, 1);
        }
    }
}

#[test]
fn a_close_that_waits_leaves_what_has_arrived_to_readers() {
    let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    stream.io.incoming.extend(sealed(&mut sealer, b""));
    stream.io.room = Some(0);
    assert_fails(stream.try_close(), ErrorKind::WouldBlock);
    assert_eq!(stream.io.incoming.len(), OVERHEAD);
    stream.io.room = None;
    stream.try_close().unwrap();
    assert!(stream.io.incoming.is_empty() && stream.peer_closed_authenticated());
}

#[test]
fn a_close_over_a_broken_socket_keeps_the_first_failure() {
    // The read that the close makes is one that finds out.
    for by_close in [true, false] {
        let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
        stream.io.failing = true;
        if by_close {
            stream.try_close().unwrap();
        } else {
            assert_fails(stream.read(&mut [0; 10]).map(drop), ErrorKind::ConnectionReset);
        }
        stream.io.failing = false;
        stream.io.incoming.extend(sealed(&mut sealer, b""));
        stream.try_close().unwrap();
        assert_eq!(stream.io.incoming.len(), OVERHEAD);
        assert_fails(stream.read(&mut [0; 10]).map(drop), ErrorKind::ConnectionReset);
        assert!(!stream.peer_closed_authenticated());
    }
}
