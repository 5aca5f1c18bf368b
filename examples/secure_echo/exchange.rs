//! One connection, looked at closely.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alts::connect::Settings;
use alts::pool::BufferPool;
use alts::ready::Probed;
use alts::record::OVERHEAD;
use alts::{Acceptor, Connector, Negotiated};
use indicatif::HumanCount;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};

use crate::counted::{Counted, Traffic};
use crate::identities::Identities;
use crate::server::echo;

/// What there is to say about it.
pub(crate) struct Exchange {
    /// As the client sees it: the server is the peer.
    by_client: Negotiated,
    /// As the server sees it: the client is the peer.
    by_server: Negotiated,
    handshake: (u64, u64),
    handshake_time: Duration,
    message: u64,
    echoed: (u64, u64),
    authenticated_end: bool,
}

/// Connects, has `message` bytes echoed, and closes.
pub(crate) async fn exchange(
    identities: &Identities,
    message: usize,
) -> Result<Exchange, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let connecting = TcpStream::connect(listener.local_addr()?);
    let (near, (far, _)) = tokio::try_join!(connecting, listener.accept())?;

    let mut settings = Settings::default();
    settings.handshake.application_protocols = vec!["echo".to_owned()];
    let acceptor = Acceptor::with_settings(identities.server()?, settings.clone());
    let server = tokio::spawn(async move {
        let pool = BufferPool::new();
        let mut stream = acceptor.accept(far).await?;
        echo(&mut stream, &pool).await?;
        Ok::<_, alts::Error>((stream.negotiated().clone(), stream.peer_closed_authenticated()))
    });

    let traffic = Arc::new(Traffic::default());
    let counted = Counted { io: near, traffic: Arc::clone(&traffic) };
    let start = Instant::now();
    let connector = Connector::with_settings(identities.client()?, settings);
    let mut client = connector.connect(Probed::new(counted)).await?;
    let handshake_time = start.elapsed();
    let handshake = traffic.so_far();

    let sent: Vec<u8> = (0..message).map(|position| position as u8).collect();
    let mut received = vec![0; message];
    ping_pong(&mut client, &sent, &mut received).await?;
    let echoed = traffic.so_far();

    client.shutdown().await?;
    if client.read(&mut [0]).await? != 0 {
        return Err("the server sent more than it was sent".into());
    }
    let (by_server, server_saw_end) = server.await??;
    Ok(Exchange {
        by_client: client.negotiated().clone(),
        by_server,
        handshake,
        handshake_time,
        message: message as u64,
        echoed: (echoed.0 - handshake.0, echoed.1 - handshake.1),
        authenticated_end: server_saw_end && client.peer_closed_authenticated(),
    })
}

/// Sends `message` and waits for its echo. Writes and reads at the same time, so that a large message does not fill the
/// buffers on its way while nobody reads.
pub(crate) async fn ping_pong(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    message: &[u8],
    echo: &mut [u8],
) -> io::Result<()> {
    let (mut read, mut write) = split(stream);
    let writing = async {
        write.write_all(message).await?;
        write.flush().await
    };
    tokio::try_join!(writing, read.read_exact(echo))?;
    if echo != message {
        let fault = "the echo differs from what was sent";
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    Ok(())
}

impl Exchange {
    /// Prints it.
    pub(crate) fn print(&self) {
        let Self { by_client, by_server, handshake, message, echoed, .. } = self;
        let line = |subject: &str, text: String| println!("  {subject:<26}{text}");
        println!("One authenticated exchange");
        line("the server proved to be", by_client.peer.name().to_owned());
        line("the client proved to be", by_server.peer.name().to_owned());
        line("application protocol", by_client.application_protocol.clone());
        line("record protocol", by_client.record_protocol.to_string());
        let largest = HumanCount(by_client.peer_max_frame_size.into());
        line("records", format!("up to {largest} bytes on the wire, {OVERHEAD} of them overhead"));
        let (sent, received) = (HumanCount(handshake.0), HumanCount(handshake.1));
        let time = self.handshake_time;
        line("handshake", format!("{sent} bytes sent, {received} received, {time:.1?}"));
        let (sent, received) = (on_wire(echoed.0, *message), on_wire(echoed.1, *message));
        line("message", format!("{} bytes, echoed", HumanCount(*message)));
        line("  sent as", sent);
        line("  received as", received);
        let end = if self.authenticated_end {
            "announced by both sides with an authenticated record"
        } else {
            "not announced"
        };
        line("end of the stream", end.to_owned());
    }
}

fn on_wire(bytes: u64, payload: u64) -> String {
    let records = (bytes - payload) / OVERHEAD as u64;
    let plural = if records == 1 { "" } else { "s" };
    format!("{} record{plural}, {} bytes on the wire", HumanCount(records), HumanCount(bytes))
}
