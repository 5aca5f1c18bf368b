//! The same without tokio: a call has to return whatever the socket does.

use std::io;
use std::time::Duration;

use alts::Error;
use alts::connect::Progress;
use alts::handshaker::{self, AlertCode, Handshaker, Role};
use alts::pool::BufferPool;
use alts::ready::TryReadyReader;

use crate::empty_records::options;
use crate::support::{Parties, by_hand, settings};

/// A socket for event loops that always has more empty records, and counts how often it is asked.
struct Endless {
    record: Box<dyn FnMut() -> Vec<u8>>,
    reads: usize,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    flooding: bool,
}

impl io::Read for Endless {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        if self.flooding {
            assert!(self.reads < 1_000, "a call that does not return");
            while self.incoming.len() < buf.len() {
                self.incoming.extend((self.record)());
            }
        }
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = buf.len().min(self.incoming.len());
        buf[..count].copy_from_slice(&self.incoming[..count]);
        self.incoming.drain(..count);
        Ok(count)
    }
}

impl io::Write for Endless {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.outgoing.extend(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_event_loop_gets_its_turn_too() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let acceptor = parties.acceptor(settings(&pool, |_| ()));
    let client = parties.client_handshaker();
    let mut session = client.start(Role::Client, &options(false)).unwrap();
    let mut out = Vec::new();
    by_hand::step(&mut *session, &[], &mut out).unwrap();
    let socket = Endless {
        record: Box::new(Vec::new),
        reads: 0,
        incoming: out,
        outgoing: Vec::new(),
        flooding: false,
    };
    let Progress::Pending(mut server) = acceptor.start(socket).unwrap().advance().unwrap() else {
        panic!("not done yet")
    };
    let mut out = Vec::new();
    let answer = std::mem::take(&mut server.get_mut().outgoing);
    let result = by_hand::step(&mut *session, &answer, &mut out).unwrap().result.unwrap();
    server.get_mut().incoming = out;
    let Progress::Done(mut server) = server.advance().unwrap() else { panic!("done") };
    let (mut sealer, _) = by_hand::crypters(&result, Role::Client);
    server.get_mut().record = Box::new(move || by_hand::seal(&mut sealer, b""));
    server.get_mut().flooding = true;
    server.get_mut().reads = 0;
    for _ in 0..3 {
        let error = server.try_read_on_ready(&pool).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    }
}

/// A socket that never connects.
struct Unconnected;

impl io::Read for Unconnected {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotConnected.into())
    }
}

impl io::Write for Unconnected {
    fn write(&mut self, _buf: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_socket_that_never_connects_is_waited_for_until_the_deadline() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let connector = parties.connector(settings(&pool, |_| ()));
    let advanced = connector.start(Unconnected).unwrap().advance();
    assert!(matches!(advanced, Ok(Progress::Pending(_))));
    let connector =
        parties.connector(settings(&pool, |settings| settings.handshake_timeout = Duration::ZERO));
    let Err(error) = connector.start(Unconnected).unwrap().advance() else {
        panic!("the deadline is over")
    };
    let Error::Handshake(handshaker::Error::Limit { code, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(code, AlertCode::Timeout);
}
