//! The other ends, in a process of their own: a channel each, and one call on it.

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use alts::Connector;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::Policy;
use alts::tonic::AltsConnector;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Error, Identity};

use crate::Transport;
use crate::certificates::{Pem, SERVER};
use crate::echo::Message;
use crate::echo::echo_client::EchoClient;

/// Connections that are made at a time.
const AT_A_TIME: usize = 32;

/// Connects as many as each line of standard input says, and reports when all have called.
pub(crate) fn run(transport: Transport, directory: &Path, address: SocketAddr) {
    crate::descriptors();
    let runtime = Runtime::new().expect("a runtime");
    let dialler = Dialler::new(transport, &Pem::read(directory, "client"), address);
    let (mut held, mut streams) = (Vec::new(), Vec::new());
    for line in std::io::stdin().lock().lines() {
        match &*line.expect("an order") {
            "streams" => runtime.block_on(open_streams(&mut held, &mut streams)),
            count => {
                let count = count.parse().expect("a number");
                runtime.block_on(connect(&dialler, count, &mut held));
            }
        }
        println!("done");
    }
}

async fn connect(dialler: &Dialler, count: usize, held: &mut Vec<EchoClient<Channel>>) {
    let mut under_way = JoinSet::new();
    for _ in 0..count {
        if under_way.len() == AT_A_TIME {
            held.extend(under_way.join_next().await.map(|client| client.expect("a connection")));
        }
        let dialler = dialler.clone();
        under_way.spawn(async move {
            let mut client = EchoClient::new(dialler.dial().await.expect("a connection"));
            let message = Message { payload: vec![0x5A; 1024].into() };
            let answer = client.once(message.clone()).await.expect("an answer");
            assert!(answer.into_inner() == message, "the echo differs");
            client
        });
    }
    held.extend(under_way.join_all().await);
}

/// Opens a stream on each connection and keeps it open.
async fn open_streams(held: &mut [EchoClient<Channel>], streams: &mut Vec<Streaming<Message>>) {
    for client in held {
        let answers = client.chat(tokio_stream::pending()).await.expect("a stream");
        streams.push(answers.into_inner());
    }
}

#[derive(Clone)]
struct Dialler {
    endpoint: Endpoint,
    alts: Option<AltsConnector>,
}

impl Dialler {
    fn new(transport: Transport, pem: &Pem, address: SocketAddr) -> Self {
        let endpoint =
            |scheme| Endpoint::from_shared(format!("{scheme}://{address}")).expect("a URI");
        match transport {
            Transport::Tcp | Transport::OwnTcp | Transport::OwnClient => {
                Self { endpoint: endpoint("http"), alts: None }
            }
            Transport::Alts | Transport::OwnAlts => {
                let servers = Policy::from_rules([SERVER]).expect("a rule");
                let handshaker = LocalHandshaker::builder(Arc::new(pem.identity()))
                    .server_policy(servers)
                    .build();
                let connector = AltsConnector::new(Connector::new(handshaker));
                Self { endpoint: endpoint("http"), alts: Some(connector) }
            }
            Transport::Tls => {
                let tls = ClientTlsConfig::new()
                    .domain_name("server.dev.local")
                    .identity(Identity::from_pem(&pem.chain, &pem.key));
                let endpoint = endpoint("https")
                    .tls_config_with_verifier(
                        tls,
                        Arc::new(AnyServer(Arc::new(ring::default_provider()))),
                    )
                    .expect("usable certificates");
                Self { endpoint, alts: None }
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

/// TLS wants a host's name in a certificate, and these have SPIFFE IDs. It is the server that is measured, which verifies its
/// clients.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
