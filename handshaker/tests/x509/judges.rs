//! Three verdicts on one chain: this package's, rustls-webpki's and openssl's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use alts_handshaker::Role;
use alts_handshaker::identity::{
    CertificateError, ChainVerifier, Identity, IdentityError, TrustBundles, TrustDomain,
};
use pki_types::{CertificateDer, UnixTime};

use super::certificate::NOW;
use super::chains::Chain;

/// This package's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// An authority's certificate or a list is refused when it is loaded.
    Load(IdentityError),
    Chain(CertificateError),
    /// Of a chain, where one of the anchors was refused, and others were not.
    UnusableAnchor(CertificateError),
}

/// A side with an identity of its own, under an authority of its own.
pub(crate) struct Us {
    chain: String,
    key: String,
    bundle: String,
}

impl Us {
    pub(crate) fn new() -> Self {
        let date = |days: i64| {
            time::OffsetDateTime::from_unix_timestamp(NOW.cast_signed() + days * 86_400).unwrap()
        };
        let mut params = rcgen::CertificateParams::default();
        (params.not_before, params.not_after) = (date(-1), date(1));
        let mut authority = params.clone();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let bundle = authority.self_signed(&authority_key).unwrap().pem();
        let uri = "spiffe://us.example/us".try_into().unwrap();
        params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let chain = params.signed_by(&key, &issuer).unwrap().pem();
        Self { chain, key: key.serialize_pem(), bundle }
    }

    /// And whether an anchor was passed over.
    fn trusting(&self, chain: &Chain) -> Result<(Arc<Identity>, bool), IdentityError> {
        let domain = |name: &str| name.parse::<TrustDomain>().unwrap();
        let (own, peers) = (domain("us.example"), domain("example.org"));
        let mut trust = TrustBundles::new();
        trust.insert_pem(&own, self.bundle.as_bytes()).unwrap();
        let mut unusable = None;
        for anchor in &chain.anchors {
            // One that cannot be used is passed over if there is another.
            unusable = unusable.or(trust.insert_authority(&peers, anchor).err());
        }
        let passed_over = unusable.is_some();
        if let (Some(fault), 0) = (unusable, trust.authorities(&peers)) {
            return Err(fault);
        }
        for list in &chain.lists {
            trust.insert_crl(&peers, list)?;
        }
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let (own_chain, key) = (self.chain.as_bytes(), self.key.as_bytes());
        Ok((Identity::from_pem(own_chain, key, trust, now).unwrap(), passed_over))
    }

    pub(crate) fn judge(&self, chain: &Chain) -> Result<(), Refusal> {
        let (us, passed_over) = self.trusting(chain).map_err(Refusal::Load)?;
        let certificates: Vec<&[u8]> =
            std::iter::once(&chain.leaf).chain(&chain.others).map(|der| &der[..]).collect();
        let role = if chain.server { Role::Server } else { Role::Client };
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let verified = ChainVerifier::new().verify(&us, &certificates, role, now).map(drop);
        verified.map_err(match passed_over {
            true => Refusal::UnusableAnchor,
            false => Refusal::Chain,
        })
    }
}

/// Without revocation lists, of which rustls-webpki takes the first by name.
pub(crate) fn webpki(chain: &Chain) -> Result<(), webpki::Error> {
    let anchors: Vec<_> = chain.anchors.iter().map(|der| CertificateDer::from(&der[..])).collect();
    let anchors: Vec<_> =
        anchors.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let others: Vec<_> = chain.others.iter().map(|der| CertificateDer::from(&der[..])).collect();
    let leaf = CertificateDer::from(&chain.leaf[..]);
    let purpose = match chain.server {
        true => webpki::KeyUsage::server_auth(),
        false => webpki::KeyUsage::client_auth(),
    };
    let time = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    webpki::EndEntityCert::try_from(&leaf)?
        .verify_for_usage(&[webpki::ring::ED25519], &anchors, &others, time, purpose, None, None)
        .map(drop)
}

/// `None` if there is no openssl of the major version whose ways are known here.
pub(crate) fn openssl_version() -> Option<String> {
    let output = Command::new("openssl").arg("version").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    version.starts_with("OpenSSL 3.").then_some(version)
}

/// The first error of `openssl verify`, as number and text.
pub(crate) fn openssl(chain: &Chain, folder: &Path) -> Result<(), String> {
    let path = |name: &str| folder.join(name);
    let write = |name: &str, label: &str, all: &[&Vec<u8>]| {
        let text: String = all.iter().map(|der| pem(label, der)).collect();
        fs::write(path(name), text).unwrap();
    };
    write("leaf.pem", "CERTIFICATE", &[&chain.leaf]);
    write("others.pem", "CERTIFICATE", &chain.others.iter().collect::<Vec<_>>());
    write("anchors.pem", "CERTIFICATE", &chain.anchors.iter().collect::<Vec<_>>());
    write("lists.pem", "X509 CRL", &chain.lists.iter().collect::<Vec<_>>());
    let mut command = Command::new("openssl");
    command
        .args(["verify", "-no-CApath", "-no-CAstore", "-partial_chain"])
        .args(["-attime", &NOW.to_string()])
        .args(["-purpose", if chain.server { "sslserver" } else { "sslclient" }])
        .arg("-CAfile")
        .arg(path("anchors.pem"));
    if !chain.others.is_empty() {
        command.arg("-untrusted").arg(path("others.pem"));
    }
    if !chain.lists.is_empty() {
        command.arg("-crl_check_all").arg("-CRLfile").arg(path("lists.pem"));
    }
    let output = command.arg(path("leaf.pem")).output().expect("openssl runs");
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let fault = text.lines().find_map(|line| {
        let (number, rest) = line.strip_prefix("error ")?.split_once(' ')?;
        Some(format!("{number} {}", rest.split_once(": ")?.1))
    });
    Err(fault.unwrap_or_else(|| "it cannot be loaded".to_owned()))
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = String::new();
    for chunk in der.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let number = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place) & 63) as usize];
            digits.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in digits.as_bytes().chunks(64) {
        writeln!(text, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    text + &format!("-----END {label}-----\n")
}
