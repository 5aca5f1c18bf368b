//! The other ends of a server's connections, in a process of their own: a channel of tonic's for each, and one call on it.

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use alts::connect::Settings;
use alts::tonic::{AltsConnector, SmallBufferCodec};
use alts_benches::descriptors;
use alts_benches::identity::Pem;
use alts_benches::tls::{AnyName, NAME};
use rustls::crypto::ring;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Error, Identity};
use tonic_prost::ProstCodec;

use crate::bare;
use crate::echo::Message;
use crate::echo::echo_client::EchoClient;
use crate::row::{Http2, Row, Transport};
use crate::service::{DEFAULT, SMALL, open};

/// Connections that are made at a time.
const AT_A_TIME: usize = 32;

/// Obeys until standard input ends: a number has it connect as many, `small` and `default` open a stream on each connection.
pub(crate) fn run(row: Row, directory: &Path, address: SocketAddr) {
    descriptors::raise();
    let runtime = Runtime::new().expect("a runtime");
    let pem = Pem::read(directory, "client");
    if row.http2 == Http2::None {
        return bare::connect(row.transport, &pem, address, &runtime);
    }
    let dialer = Dialer::new(row.transport, &pem, address);
    let (mut held, mut streams) = (Vec::new(), Vec::new());
    for line in std::io::stdin().lock().lines() {
        runtime.block_on(async {
            match &*line.expect("an order") {
                "small" => streams.extend(open_streams(&held, Codec::Small).await),
                "default" => streams.extend(open_streams(&held, Codec::Default).await),
                count => connect(&dialer, count.parse().expect("a number"), &mut held).await,
            }
        });
        println!();
    }
}

#[derive(Clone, Copy)]
enum Codec {
    Small,
    Default,
}

async fn connect(dialer: &Dialer, count: usize, held: &mut Vec<Channel>) {
    let mut under_way = JoinSet::new();
    for _ in 0..count {
        if under_way.len() == AT_A_TIME {
            held.extend(under_way.join_next().await.map(|client| client.expect("a connection")));
        }
        let dialer = dialer.clone();
        under_way.spawn(async move {
            let channel = dialer.dial().await.expect("a connection");
            let message = Message { payload: vec![0x5A; 1024].into() };
            let answer = EchoClient::new(channel.clone()).once(message.clone()).await;
            assert!(answer.expect("an answer").into_inner() == message, "the echo differs");
            channel
        });
    }
    held.extend(under_way.join_all().await);
}

/// Opens a stream on each connection.
async fn open_streams(held: &[Channel], codec: Codec) -> Vec<Streaming<Message>> {
    let mut streams = Vec::with_capacity(held.len());
    for channel in held {
        let channel = channel.clone();
        let stream = match codec {
            Codec::Small => open(channel, SmallBufferCodec::default(), SMALL).await,
            Codec::Default => open(channel, ProstCodec::default(), DEFAULT).await,
        };
        streams.push(stream.expect("a stream"));
    }
    streams
}

#[derive(Clone)]
struct Dialer {
    endpoint: Endpoint,
    alts: Option<AltsConnector>,
}

impl Dialer {
    fn new(transport: Transport, pem: &Pem, address: SocketAddr) -> Self {
        let endpoint =
            |scheme| Endpoint::from_shared(format!("{scheme}://{address}")).expect("a URI");
        match transport {
            Transport::Tcp => Self { endpoint: endpoint("http"), alts: None },
            Transport::Alts => {
                let connector = AltsConnector::new(pem.connector(Settings::default()));
                Self { endpoint: endpoint("http"), alts: Some(connector) }
            }
            Transport::Tls => {
                let tls = ClientTlsConfig::new()
                    .domain_name(NAME)
                    .identity(Identity::from_pem(&pem.chain, &pem.key));
                let server = Arc::new(AnyName::new(pem, &ring::default_provider()));
                let endpoint = endpoint("https").tls_config_with_verifier(tls, server);
                Self { endpoint: endpoint.expect("usable certificates"), alts: None }
            }
        }
    }

    async fn dial(self) -> Result<Channel, Error> {
        match self.alts {
            Some(alts) => self.endpoint.connect_with_connector(alts).await,
            None => self.endpoint.connect().await,
        }
    }
}
