//! rustls' unbuffered connections: slices in, slices out. The least that rustls can be asked to do for a record.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;

use super::tls::{Tls, server_name};

/// A connection in either role. The two have the same methods and no type in common.
pub(crate) enum Unbuffered {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What one call has done.
struct Progress {
    /// Bytes of the input that were used up.
    consumed: usize,
    /// Bytes of records that were written.
    written: usize,
    /// Bytes of plaintext that came out.
    opened: usize,
    /// Nothing can be done until more arrives, and what was to be sealed has been.
    done: bool,
}

macro_rules! advance {
    ($connection:expr, $input:expr, $plaintext:expr, $out:expr) => {{
        let status = $connection.process_tls_records($input);
        let mut progress =
            Progress { consumed: status.discard, written: 0, opened: 0, done: false };
        match status.state.expect("a good peer") {
            ConnectionState::EncodeTlsData(mut data) => {
                progress.written = data.encode($out).expect("room");
            }
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.expect("a good record");
                    progress.consumed += record.discard;
                    progress.opened += record.payload.len();
                }
            }
            ConnectionState::WriteTraffic(mut traffic) => {
                if let Some(plaintext) = $plaintext {
                    progress.written = traffic.encrypt(plaintext, $out).expect("room");
                }
                progress.done = true;
            }
            ConnectionState::BlockedHandshake => progress.done = true,
            other => panic!("{other:?}"),
        }
        progress
    }};
}

impl Unbuffered {
    fn advance(&mut self, input: &mut [u8], plaintext: Option<&[u8]>, out: &mut [u8]) -> Progress {
        match self {
            Self::Client(connection) => advance!(connection, input, plaintext, out),
            Self::Server(connection) => advance!(connection, input, plaintext, out),
        }
    }

    /// Seals `plaintext` at the front of `out`, and says how long the records are.
    pub(crate) fn seal(&mut self, plaintext: &[u8], out: &mut [u8]) -> usize {
        let mut written = 0;
        loop {
            let progress = self.advance(&mut [], Some(plaintext), &mut out[written..]);
            written += progress.written;
            if progress.done {
                return written;
            }
        }
    }

    /// Opens `records`, and says how many bytes of plaintext there were. They stay in the memory that rustls copies each
    /// record into.
    pub(crate) fn open(&mut self, records: &mut [u8]) -> usize {
        let (mut consumed, mut opened) = (0, 0);
        loop {
            let progress = self.advance(&mut records[consumed..], None, &mut []);
            consumed += progress.consumed;
            opened += progress.opened;
            if progress.done {
                return opened;
            }
        }
    }
}

/// Client and server with the handshake done.
pub(crate) fn connected(tls: &Tls) -> (Unbuffered, Unbuffered) {
    let client = UnbufferedClientConnection::new(tls.client.clone(), server_name());
    let server = UnbufferedServerConnection::new(tls.server.clone());
    let mut client = Unbuffered::Client(client.expect("a client"));
    let mut server = Unbuffered::Server(server.expect("a server"));
    let mut flight = Vec::new();
    for _ in 0..2 {
        flight = handshake_step(&mut client, flight);
        flight = handshake_step(&mut server, flight);
    }
    assert!(flight.is_empty(), "the handshake is not over");
    (client, server)
}

/// Takes a flight and answers it.
fn handshake_step(side: &mut Unbuffered, mut flight: Vec<u8>) -> Vec<u8> {
    let mut answer = vec![0; 32 << 10];
    let (mut consumed, mut written) = (0, 0);
    loop {
        let progress = side.advance(&mut flight[consumed..], None, &mut answer[written..]);
        consumed += progress.consumed;
        written += progress.written;
        if progress.done {
            answer.truncate(written);
            return answer;
        }
    }
}
