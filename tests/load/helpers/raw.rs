//! Sockets without a stream, from chosen addresses, and handmade handshakes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use alts::handshaker::{
    HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, LocalHandshaker, Role,
};
use alts::record::Sealer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::identities;

/// The n-th address of this machine beyond the first, which is left to honest peers and to other programs: thousands of connections
/// from one address take its ports for a minute after they have ended. All of 127.0.0.0/8 is loopback.
pub(crate) fn source(n: usize) -> Ipv4Addr {
    let n = n % SOURCES;
    Ipv4Addr::new(127, 0, 1 + (n / 250) as u8, 1 + (n % 250) as u8)
}

const SOURCES: usize = 100;

/// Connects from `source`.
pub(crate) async fn connect(server: SocketAddr, source: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Closes with a reset.
pub(crate) fn reset(stream: TcpStream) {
    // Fails where the peer has closed already, which will do.
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// A client's handshakes, a message at a time.
pub(crate) struct ByHand {
    handshaker: LocalHandshaker,
    options: HandshakeOptions,
}

/// One of them.
pub(crate) struct Session(Box<dyn HandshakeSession>);

impl ByHand {
    pub(crate) fn new(dir: &Path) -> Self {
        let mut options = HandshakeOptions::default();
        options.close_notify = true;
        Self { handshaker: identities::client(dir, "client"), options }
    }

    /// Begins, with the first message.
    pub(crate) fn begin(&self) -> (Session, Vec<u8>) {
        let mut session = Session(self.handshaker.start(Role::Client, &self.options).unwrap());
        let (first, _) = session.step(&[]);
        (session, first)
    }

    /// A valid first message.
    pub(crate) fn first_message(&self) -> Vec<u8> {
        self.begin().1
    }
}

impl Session {
    fn step(&mut self, received: &[u8]) -> (Vec<u8>, Option<HandshakeResult>) {
        let mut out = Vec::new();
        let cx = &mut Context::from_waker(Waker::noop());
        match self.0.poll_step(cx, received, SystemTime::now(), &mut out) {
            Poll::Ready(Ok(step)) => (out, step.result),
            other => panic!("an honest handmade handshake: {other:?}"),
        }
    }

    /// Reads the server's messages, and gives the client's last one.
    pub(crate) async fn answer(
        mut self,
        stream: &mut TcpStream,
    ) -> io::Result<(Vec<u8>, HandshakeResult)> {
        let mut buf = [0; 4_096];
        loop {
            let count = stream.read(&mut buf).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let (last, Some(result)) = self.step(&buf[..count]) {
                return Ok((last, result));
            }
        }
    }

    /// The rest of the handshake.
    pub(crate) async fn finish(self, stream: &mut TcpStream) -> io::Result<Sealer> {
        let (last, result) = self.answer(stream).await?;
        stream.write_all(&last).await?;
        Ok(sealer(&result))
    }
}

/// The client's sealer.
pub(crate) fn sealer(result: &HandshakeResult) -> Sealer {
    let key = result.key_data.as_bytes();
    Sealer::new(result.record_protocol, key, Role::Client).unwrap()
}

/// One record.
pub(crate) fn seal(sealer: &mut Sealer, plaintext: &[u8]) -> Vec<u8> {
    let mut record = vec![0; plaintext.len() + alts::record::OVERHEAD];
    sealer.seal(plaintext, &mut record).unwrap();
    record
}

/// Reads until the server closes or resets the connection, and says whether anything came, and its beginning.
pub(crate) async fn read_to_the_end(stream: &mut TcpStream) -> (u64, [u8; 12]) {
    let mut buf = vec![0; 16 << 10];
    let mut first = [0; 12];
    let mut total = 0;
    while let Ok(count @ 1..) = stream.read(&mut buf).await {
        let from = (total as usize).min(first.len());
        let fits = count.min(first.len() - from);
        first[from..from + fits].copy_from_slice(&buf[..fits]);
        total += count as u64;
    }
    (total, first)
}

/// The code of an alert in plaintext, if these bytes begin with one.
pub(crate) fn alert(bytes: &[u8; 12]) -> Option<u16> {
    let is_alert = bytes[4] == 0x4F && bytes[1..4] == [0; 3];
    is_alert.then(|| u16::from_be_bytes([bytes[8], bytes[9]]))
}
