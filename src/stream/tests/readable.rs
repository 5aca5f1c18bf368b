//! What is readable without the socket.

use std::io::{self, Read};
use std::task::Waker;

use alts_handshaker::Role;

use super::super::AltsStream;
use super::super::stall::RecordSource;
use super::{Ends, REKEY, sealed, stream};
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::Source;

/// A socket that has nothing to read now.
struct Silent;

impl Source for Silent {
    fn readable(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn take(
        &mut self,
        pool: &BufferPool,
        _: &mut Option<Ticket>,
        size: usize,
    ) -> io::Result<PooledBuf> {
        Ok(pool.take(size)?)
    }
}

impl RecordSource for Silent {
    fn grow(
        &mut self,
        pool: &BufferPool,
        _: &mut Option<Ticket>,
        _: &PooledBuf,
        size: usize,
    ) -> io::Result<PooledBuf> {
        Ok(pool.take(size)?)
    }

    fn yield_now(&mut self) -> bool {
        true
    }

    fn waker(&self) -> &Waker {
        Waker::noop()
    }
}

#[test]
fn what_has_a_result_already_is_readable_whatever_the_socket_says() {
    let is_readable = |stream: &mut AltsStream<Ends>| stream.channel.readable(&mut Silent).is_ok();
    let mut received = [0; 100];

    let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    assert!(!is_readable(&mut stream));
    stream.io.incoming.extend(sealed(&mut sealer, b"plaintext"));
    assert_eq!(stream.read(&mut received[..4]).unwrap(), 4);
    assert!(is_readable(&mut stream), "plaintext");
    let record = sealed(&mut sealer, b"a record");
    assert_eq!(stream.read(&mut received).unwrap(), 5);
    assert!(!is_readable(&mut stream));
    stream.io.incoming.extend(record.iter().chain(&sealed(&mut sealer, b"another")));
    assert_eq!(stream.read(&mut received[..8]).unwrap(), 8);
    assert!(is_readable(&mut stream), "a whole record");
    assert_eq!(stream.read(&mut received).unwrap(), 7);
    assert!(!is_readable(&mut stream));
    stream.io.incoming.extend(sealed(&mut sealer, b""));
    assert_eq!(stream.read(&mut received).unwrap(), 0);
    assert!(stream.peer_closed_authenticated());
    assert!(is_readable(&mut stream), "the end");

    let (mut stream, ..) = self::stream(REKEY, Role::Client, 0);
    stream.io.failing = true;
    stream.read(&mut received).unwrap_err();
    assert!(is_readable(&mut stream), "a failure");
}
