//! The comparison: TLS 1.3 by rustls, with certificates on both sides as ALTS has them.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::pem::Pem;

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];
const SERVER: &str = "server.dev.local";
const CLIENT: &str = "client.dev.local";

/// Certificates of both sides.
pub(crate) struct Certificates {
    server: Pem,
    pub(crate) client: Pem,
}

impl Certificates {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let issue = |name: &str| {
            let key = KeyPair::generate()?;
            let leaf = CertificateParams::new([name.to_owned()])?.signed_by(&key, &authority)?;
            let (chain, key) = (leaf.pem(), key.serialize_pem());
            Ok::<_, rcgen::Error>(Pem { chain, key, authority: authority.pem() })
        };
        Ok(Self { server: issue(SERVER)?, client: issue(CLIENT)? })
    }

    /// The server's side of handshakes. Neither tickets nor sessions, since ALTS has none.
    pub(crate) fn server(&self) -> Result<TlsAcceptor, Box<dyn Error>> {
        let roots = roots(&self.server)?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain(&self.server)?, key(&self.server)?)?;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// The client's side of handshakes.
pub(crate) fn client(pem: &Pem) -> Result<TlsConnector, Box<dyn Error>> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)?
        .with_root_certificates(roots(pem)?)
        .with_client_auth_cert(chain(pem)?, key(pem)?)?;
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(crate) fn server_name() -> Result<ServerName<'static>, Box<dyn Error>> {
    Ok(ServerName::try_from(SERVER)?)
}

/// Sends back what comes. Reads from the buffers of rustls itself, so that this adds none.
pub(crate) async fn echo(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    loop {
        let received = stream.fill_buf().await?.to_vec();
        if received.is_empty() {
            return stream.shutdown().await;
        }
        stream.consume(received.len());
        stream.write_all(&received).await?;
        drop(received);
        stream.flush().await?;
    }
}

/// *ring*, as ALTS has it, whatever else this was built with.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

type Parsed<T> = Result<T, Box<dyn Error>>;

fn roots(pem: &Pem) -> Parsed<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.authority.as_bytes())?)?;
    Ok(Arc::new(roots))
}

fn chain(pem: &Pem) -> Parsed<Vec<CertificateDer<'static>>> {
    Ok(vec![CertificateDer::from_pem_slice(pem.chain.as_bytes())?])
}

fn key(pem: &Pem) -> Parsed<PrivateKeyDer<'static>> {
    Ok(PrivateKeyDer::from_pem_slice(pem.key.as_bytes())?)
}
