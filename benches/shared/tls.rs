//! TLS 1.3 by rustls, with certificates on both sides.
//!
//! What is set: one cipher suite and one key exchange, the ones that alts has; no tickets and no resumption, since alts has none
//! and tickets would be work for nothing. Names are not compared, since the certificates have SPIFFE IDs, but chains and
//! signatures are verified. All else is as rustls has it by default.

use std::sync::Arc;

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
    SignatureScheme,
};

use crate::identity::Pem;

/// What clients call the server. It is compared with nothing.
pub const NAME: &str = "server.dev.local";

/// The settings of one side, as a server and as a client.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Asks clients for a certificate of the same authority.
    pub server: Arc<ServerConfig>,
    /// Has a certificate.
    pub client: Arc<ClientConfig>,
}

impl Tls {
    /// With the cryptography of `provider`.
    pub fn new(pem: &Pem, provider: CryptoProvider) -> Self {
        let provider = Arc::new(narrowed(provider));
        let versions = &[&rustls::version::TLS13];
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(&pem.chain).map(|one| one.expect("PEM")).collect();
        let key = || PrivateKeyDer::from_pem_slice(&pem.key).expect("a key");
        let servers = AnyName::new(pem, &provider);

        let clients = WebPkiClientVerifier::builder_with_provider(
            Arc::clone(&servers.roots),
            Arc::clone(&provider),
        );
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("TLS 1.3 has the suite")
            .with_client_cert_verifier(clients.build().expect("authorities"))
            .with_single_cert(chain.clone(), key())
            .expect("a certificate and its key");
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});

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
}

/// Of `provider`, the cipher suite and the key exchange of [`Tls`] only, for all of this process that asks for no other.
pub fn install(provider: CryptoProvider) {
    narrowed(provider).install_default().expect("no other was installed before");
}

fn narrowed(mut provider: CryptoProvider) -> CryptoProvider {
    provider.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
    provider
}

/// Verifies all of a server but its name.
#[derive(Debug)]
pub struct AnyName {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyName {
    /// With the authorities of these files.
    pub fn new(pem: &Pem, provider: &CryptoProvider) -> Self {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&pem.bundle) {
            roots.add(root.expect("PEM")).expect("an authority");
        }
        let algorithms = provider.signature_verification_algorithms;
        Self { roots: Arc::new(roots), algorithms }
    }
}

impl ServerCertVerifier for AnyName {
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
