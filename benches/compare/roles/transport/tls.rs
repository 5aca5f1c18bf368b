//! TLS 1.3 by rustls, on tokio by tokio-rustls, with certificates on both sides.
//!
//! What is set: one cipher suite and one key exchange, the ones that alts has; no tickets and no resumption, since alts has none
//! and tickets would be work for nothing. Names are not compared, since the certificates have SPIFFE IDs, but chains and
//! signatures are verified. All else is as rustls has it by default.
//!
//! How it is used: the future of the handshake is boxed, so that the task keeps no room for it. Readers bring a buffer of 32 KiB
//! that the threads share, so that no connection has one. A reader that keeps nothing uses the buffers of rustls itself
//! (`AsyncBufRead`), without a copy.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, ServerConfig,
    ServerConnection, SignatureScheme,
};
use tokio::io::{AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::{OnMio, Transport, poll_lent};
use crate::certificates::Pem;
use crate::roles::lent::Lent;

/// Compared with nothing.
pub(crate) const NAME: &str = "server.dev.local";

#[derive(Clone)]
pub(crate) struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(pem: &Pem, mut provider: CryptoProvider) -> Self {
        provider
            .cipher_suites
            .retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
        provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
        let provider = Arc::new(provider);
        let versions = &[&rustls::version::TLS13];
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(&pem.chain).map(|one| one.expect("PEM")).collect();
        let key = || PrivateKeyDer::from_pem_slice(&pem.key).expect("a key");
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&pem.bundle) {
            roots.add(root.expect("PEM")).expect("an authority");
        }
        let roots = Arc::new(roots);

        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .expect("authorities");
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("TLS 1.3 has the suite")
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key())
            .expect("a certificate and its key");
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});

        let servers = ByChain { roots, algorithms: provider.signature_verification_algorithms };
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("TLS 1.3 has the suite")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(servers))
            .with_client_auth_cert(chain, key())
            .expect("a certificate and its key");
        client.resumption = Resumption::disabled();
        Self { server: Arc::new(server), client: Arc::new(client) }
    }

    pub(crate) fn server(&self) -> &Arc<ServerConfig> {
        &self.server
    }

    pub(crate) fn client(&self) -> &Arc<ClientConfig> {
        &self.client
    }
}

impl Transport for Tls {
    type Stream = TlsStream<TcpStream>;
    type Pool = ();
    type Received = Lent;
    type Message = Vec<u8>;
    type Echo = TlsEcho;
    type OnMio = TlsOnMio;

    fn pool(&self) {}

    fn accept(
        &self,
        tcp: TcpStream,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send + use<> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
        Box::pin(async move {
            tcp.set_nodelay(true)?;
            Ok(acceptor.accept(tcp).await?.into())
        })
    }

    fn connect(
        &self,
        tcp: TcpStream,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send + use<> {
        let connector = TlsConnector::from(Arc::clone(&self.client));
        Box::pin(async move {
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from(NAME).expect("a name");
            Ok(connector.connect(name, tcp).await?.into())
        })
    }

    fn receive<'read>(
        stream: &'read mut Self::Stream,
        (): &'read (),
    ) -> impl Future<Output = io::Result<Option<Lent>>> + 'read {
        std::future::poll_fn(move |cx| poll_lent(stream, cx))
    }

    /// In a vector of that size, which is made when something is there to put into it.
    async fn receive_all(stream: &mut Self::Stream, (): &(), len: usize) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        while message.len() < len {
            let received = stream.fill_buf().await?;
            if received.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let left = len - message.len();
            let count = left.min(received.len());
            message.reserve_exact(left);
            message.extend_from_slice(&received[..count]);
            stream.consume(count);
        }
        Ok(message)
    }

    /// A read would not send what the kernel did not take.
    async fn send(stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await?;
        stream.flush().await
    }

    async fn discard(stream: &mut Self::Stream, (): &()) -> io::Result<usize> {
        let len = stream.fill_buf().await?.len();
        stream.consume(len);
        Ok(len)
    }

    fn echo(stream: Self::Stream, (): ()) -> TlsEcho {
        TlsEcho { stream, unsent: None }
    }

    fn on_mio(&self, socket: mio::net::TcpStream) -> TlsOnMio {
        let connection = ServerConnection::new(Arc::clone(&self.server)).expect("a connection");
        TlsOnMio { socket, connection }
    }

    fn socket(stream: &mut Self::Stream) -> &mut TcpStream {
        stream.get_mut().0
    }

    fn part() -> Option<[u8; 128]> {
        let mut part = [0xA5; 128];
        part[..5].copy_from_slice(&[23, 3, 3, 0x40, 0]);
        Some(part)
    }
}

/// Verifies all but the name.
#[derive(Debug)]
struct ByChain {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ByChain {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

pub(crate) struct TlsEcho {
    stream: TlsStream<TcpStream>,
    /// Rarely present.
    unsent: Option<Box<(Lent, usize)>>,
}

impl TlsEcho {
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.stream;
        loop {
            if let Some(unsent) = &mut self.unsent {
                let (received, sent) = &mut **unsent;
                while *sent < received.len() {
                    *sent += ready!(Pin::new(&mut *stream).poll_write(cx, &received[*sent..]))?;
                }
                self.unsent = None;
            }
            ready!(Pin::new(&mut *stream).poll_flush(cx))?;
            match ready!(poll_lent(stream, cx))? {
                Some(received) => self.unsent = Some(Box::new((received, 0))),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Future for TlsEcho {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_turn(cx).map(drop)
    }
}

pub(crate) struct TlsOnMio {
    socket: mio::net::TcpStream,
    connection: ServerConnection,
}

impl OnMio for TlsOnMio {
    fn go_on(&mut self) -> io::Result<()> {
        loop {
            while self.connection.wants_write() {
                self.connection.write_tls(&mut self.socket)?;
            }
            if self.connection.read_tls(&mut self.socket)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.connection.process_new_packets().map_err(io::Error::other)?;
            loop {
                let mut lent = Lent::take();
                match self.connection.reader().read(lent.space()) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(len) => lent.filled = len,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
                // What one read of the socket brings is less than the connection accepts for sending.
                self.connection.writer().write_all(&lent)?;
            }
        }
    }
}
