//! The same with rustls: TLS 1.3 with certificates on both sides, AES-128-GCM, X25519, ring; no resumption unless it is asked for.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::certificates::{Certificates, Leaf, SERVER_HOST};

/// Both ends' settings.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl Tls {
    pub(crate) fn new(certificates: &Certificates) -> Self {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![X25519],
            ..ring::default_provider()
        });
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&certificates.authority)).expect("an authority");
        let roots = Arc::new(roots);

        let (chain, key) = own(&certificates.client);
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .expect("the suite is TLS 1.3's")
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain, key)
            .expect("an identity");
        client.resumption = Resumption::disabled();

        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let (chain, key) = own(&certificates.server);
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect("the suite is TLS 1.3's")
            .with_client_cert_verifier(clients.build().expect("there is an authority"))
            .with_single_cert(chain, key)
            .expect("an identity");
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Self { client: Arc::new(client), server: Arc::new(server) }
    }
}

pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from(SERVER_HOST).expect("a host's name")
}

fn own(leaf: &Leaf) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("a key");
    (vec![certificate(&leaf.certificate)], key)
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}
