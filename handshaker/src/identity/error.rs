//! Faults of this side's identity, and faults of a peer's certificates.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::alert::AlertCode;

use super::spiffe::{SpiffeIdError, TrustDomain};

/// Why this side's identity, or one of its files, cannot be used. Never the peer's doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityError {
    /// The fault lies in this file.
    InFile {
        /// The file, as it was configured.
        path: PathBuf,
        /// What is wrong with it.
        fault: Box<IdentityError>,
    },
    /// The file cannot be read.
    Read {
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The operating system's message.
        message: String,
    },
    /// The file could not be read because this process, or the system, has no descriptor or no memory left. What the file says is
    /// not known; what it said before stays in force.
    OutOfResources {
        /// The operating system's message.
        message: String,
    },
    /// The file is larger than 16 MiB.
    FileTooLarge,
    /// Others than the owner may use the key file (on Unix: permission bits outside 0700).
    SharedKeyFile {
        /// The permission bits of the file, or of what the link points to.
        mode: u32,
    },
    /// The text is not PEM.
    Pem(&'static str),
    /// There is no certificate in it.
    NoCertificate,
    /// There is no private key in it.
    NoPrivateKey,
    /// There is more than one private key in it.
    SeveralPrivateKeys,
    /// The private key is encrypted, in the form of PKCS#8 or in OpenSSL's traditional one.
    EncryptedPrivateKey,
    /// There is a certificate where the private key should be.
    ChainInPlaceOfKey,
    /// There is a private key where the certificate chain should be.
    KeyInPlaceOfChain,
    /// The private key is malformed, of a kind or size that is not supported, or does not fit its public key.
    PrivateKey(String),
    /// The private key does not belong to the leaf certificate.
    KeyMismatch,
    /// The signer failed, or does not know the scheme.
    Sign(String),
    /// This side's chain would not be accepted by a peer that has the same trust bundles, or not at this time.
    Chain(CertificateError),
    /// A trust bundle has no certificate that can be used as an authority's. This is what is wrong with the first one.
    Anchor(CertificateError),
    /// A certificate revocation list is malformed or of a kind that is not supported.
    RevocationList(String),
    /// There is no trust bundle for this side's trust domain.
    NoOwnBundle(TrustDomain),
    /// The trust domain is that of development certificates, which are refused unless allowed explicitly.
    DevelopmentDomain(TrustDomain),
    /// The thread that watches the files cannot be started.
    Watcher(String),
    /// There is no identity yet, for a reason that the source knows.
    Unavailable(String),
    /// The text is not the address of a Workload API.
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The fault lies in this part of an answer of the Workload API.
    InAnswer {
        /// The part.
        part: String,
        /// What is wrong with it.
        fault: Box<IdentityError>,
    },
    /// An answer of the Workload API breaks the rules of SPIFFE.
    Answer(String),
}

impl IdentityError {
    /// The fault itself, without the file or the answer that has it.
    pub fn fault(&self) -> &Self {
        match self {
            Self::InFile { fault, .. } | Self::InAnswer { fault, .. } => fault.fault(),
            fault => fault,
        }
    }

    /// The file that has the fault, if one is known.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::InFile { path, .. } => Some(path),
            _ => None,
        }
    }

    pub(super) fn in_file(self, path: &Path) -> Self {
        Self::InFile { path: path.to_owned(), fault: Box::new(self) }
    }

    #[cfg(feature = "workload-api")]
    pub(super) fn in_answer(self, part: impl Into<String>) -> Self {
        Self::InAnswer { part: part.into(), fault: Box::new(self) }
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFile { path, fault } => write!(f, "{}: {fault}", path.display()),
            Self::Read { message, .. } => write!(f, "cannot be read: {message}"),
            Self::OutOfResources { message } => {
                write!(f, "cannot be read for want of descriptors or memory: {message}")
            }
            Self::FileTooLarge => f.write_str("larger than 16 MiB"),
            Self::SharedKeyFile { mode } => write!(
                f,
                "a private key that users other than its owner may read or write (mode {mode:04o}); make it 0600 or 0400, in \
                 Kubernetes give the volume `defaultMode: 0400`, or set allow_shared_key_file"
            ),
            Self::Pem(fault) => write!(f, "it is not valid PEM: {fault}"),
            Self::NoCertificate => {
                f.write_str("it contains no certificate in PEM (-----BEGIN CERTIFICATE-----)")
            }
            Self::NoPrivateKey => f.write_str(
                "it contains no private key in PEM (-----BEGIN PRIVATE KEY-----, or the same with RSA or EC)",
            ),
            Self::SeveralPrivateKeys => {
                f.write_str("it contains more than one private key; leave the leaf's only")
            }
            Self::EncryptedPrivateKey => f.write_str(
                "the private key is encrypted and no password can be given; decrypt it, for instance with \
                 `openssl pkey`",
            ),
            Self::ChainInPlaceOfKey => f.write_str(
                "it contains a certificate and no private key; are the chain and the key swapped?",
            ),
            Self::KeyInPlaceOfChain => f.write_str(
                "it contains a private key and no certificate; are the chain and the key swapped?",
            ),
            Self::PrivateKey(fault) => write!(f, "the private key cannot be used: {fault}"),
            Self::KeyMismatch => {
                f.write_str("the private key does not belong to the first certificate of the chain")
            }
            Self::Sign(fault) => write!(f, "cannot sign: {fault}"),
            Self::Chain(fault) => write!(f, "this side's certificate chain is not valid: {fault}"),
            Self::Anchor(fault) => {
                write!(f, "the trust bundle has no usable authority: {fault}")
            }
            Self::RevocationList(fault) => {
                write!(f, "the certificate revocation list cannot be used: {fault}")
            }
            Self::NoOwnBundle(domain) => {
                write!(f, "there is no trust bundle for this side's trust domain {domain}")
            }
            Self::DevelopmentDomain(domain) => write!(
                f,
                "the trust domain {domain} is for development only; set allow_development_domain to use it"
            ),
            Self::Watcher(fault) => write!(f, "the files cannot be watched: {fault}"),
            Self::Unavailable(reason) => write!(f, "there is no identity: {reason}"),
            Self::Address { address, fault } => write!(
                f,
                "{address:?} is not the address of a Workload API: {fault}; it has to be unix:///path/to/socket or tcp://IP:PORT"
            ),
            Self::InAnswer { part, fault } => write!(f, "the Workload API's answer, {part}: {fault}"),
            Self::Answer(fault) => write!(f, "the Workload API's answer: {fault}"),
        }
    }
}

/// The message says all of it, so there is no source to follow; match on the variants to look inside.
impl std::error::Error for IdentityError {}

/// Why a certificate chain was refused.
///
/// Positions count from 0, the leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// No certificate at all.
    Empty,
    /// More than 5 certificates.
    TooMany(usize),
    /// More than 24 KiB in all.
    ChainTooLarge(usize),
    /// One certificate of more than 8 KiB.
    TooLarge {
        /// Which one.
        position: usize,
        /// Its size in bytes.
        bytes: usize,
    },
    /// Not the DER encoding of an X.509 version 3 certificate.
    Malformed {
        /// Which one.
        position: usize,
        /// The part of the certificate at which reading stopped.
        part: &'static str,
    },
    /// No URI among the subject's alternative names.
    NoUri,
    /// More than one URI among the subject's alternative names.
    SeveralUris(usize),
    /// The URI is not a SPIFFE ID.
    SpiffeId(SpiffeIdError),
    /// There is no trust bundle for the leaf's trust domain, or none that can be used.
    UnknownTrustDomain(TrustDomain),
    /// The leaf is a certificate authority's.
    AuthorityAsLeaf,
    /// An issuer in the chain is not a certificate authority's, or may not sign certificates.
    NotAnAuthority {
        /// Which one.
        position: usize,
    },
    /// The leaf has no keyUsage, or one without digitalSignature.
    NoDigitalSignature,
    /// The leaf's keyUsage allows signing certificates or revocation lists.
    LeafMaySign,
    /// The leaf's or an issuer's extendedKeyUsage excludes the role it is used in.
    WrongExtendedKeyUsage,
    /// A certificate in the chain, or all authorities that vouch for it, are not valid any more.
    Expired,
    /// A certificate in the chain is not valid yet.
    NotYetValid,
    /// A certificate in the chain is on a revocation list.
    Revoked,
    /// There are revocation lists for the trust domain, and no current one that covers every certificate of the chain.
    RevocationUnknown,
    /// No path leads to an authority of the trust domain's bundle: an issuer is missing, or a signature is wrong.
    Untrusted,
    /// 16 signatures were verified without finding a path to an authority. Issuers that share a name need key identifiers.
    TooManySignatures,
    /// The name constraints of an issuer do not allow a name below it. The text says which name.
    NameConstraints(String),
    /// A key of a kind that is not supported.
    UnsupportedKey {
        /// Which certificate has it.
        position: usize,
    },
    /// A leaf's RSA key of less than 2,048 bits.
    RsaKeyTooSmall {
        /// The modulus' size in bits.
        bits: usize,
    },
    /// An RSA key of more than 4,096 bits.
    RsaKeyTooLarge {
        /// Which certificate has it.
        position: usize,
        /// The modulus' size in bits.
        bits: usize,
    },
    /// X.509's rules are broken in another way: path length, an unknown critical extension.
    Invalid(&'static str),
}

impl CertificateError {
    /// What the peer is told, once that can be said in secret.
    pub fn code(&self) -> AlertCode {
        match self {
            // As in TLS, "expired" stands for "not valid at this time".
            Self::Expired | Self::NotYetValid => AlertCode::CertificateExpired,
            Self::Revoked => AlertCode::CertificateRevoked,
            Self::UnknownTrustDomain(_) => AlertCode::UnknownTrustDomain,
            _ => AlertCode::BadCertificate,
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no certificate"),
            Self::TooMany(count) => write!(f, "{count} certificates, more than 5"),
            Self::ChainTooLarge(bytes) => {
                write!(f, "{bytes} bytes of certificates, more than 24 KiB")
            }
            Self::TooLarge { position, bytes } => {
                write!(f, "certificate {position} has {bytes} bytes, more than 8 KiB")
            }
            Self::Malformed { position, part } => {
                write!(f, "certificate {position} is malformed: {part}")
            }
            Self::NoUri => f.write_str("no URI in subjectAltName"),
            Self::SeveralUris(count) => write!(f, "{count} URIs in subjectAltName, not exactly 1"),
            Self::SpiffeId(fault) => write!(f, "the URI is not a SPIFFE ID: {fault}"),
            Self::UnknownTrustDomain(domain) => {
                write!(f, "there is no usable trust bundle for the trust domain {domain}")
            }
            Self::AuthorityAsLeaf => f.write_str("the leaf is a certificate authority's certificate"),
            Self::NotAnAuthority { position } => {
                write!(f, "certificate {position} is not a certificate authority's, or may not sign certificates")
            }
            Self::NoDigitalSignature => f.write_str("the leaf's keyUsage lacks digitalSignature"),
            Self::LeafMaySign => f.write_str("the leaf's keyUsage has keyCertSign or cRLSign"),
            Self::WrongExtendedKeyUsage => {
                f.write_str("extendedKeyUsage does not allow the role that the certificate is used in")
            }
            Self::Expired => f.write_str("expired"),
            Self::NotYetValid => f.write_str("not valid yet"),
            Self::Revoked => f.write_str("revoked"),
            Self::RevocationUnknown => f.write_str(
                "the trust domain has revocation lists, and no current one of its issuer covers every certificate of the chain",
            ),
            Self::Untrusted => f.write_str("not signed by an authority of its trust domain"),
            Self::TooManySignatures => f.write_str(
                "no path to an authority within 16 signatures; give issuers that share a name key identifiers",
            ),
            Self::NameConstraints(fault) => {
                write!(f, "the name constraints of an issuer are violated: {fault}")
            }
            Self::UnsupportedKey { position } => {
                write!(f, "certificate {position} has a key of a kind that is not supported")
            }
            Self::RsaKeyTooSmall { bits } => {
                write!(f, "the leaf has an RSA key of {bits} bits, less than 2,048")
            }
            Self::RsaKeyTooLarge { position, bits } => {
                write!(f, "certificate {position} has an RSA key of {bits} bits, more than 4,096")
            }
            Self::Invalid(fault) => f.write_str(fault),
        }
    }
}

/// The message says all of it, so there is no source to follow; match on the variants to look inside.
impl std::error::Error for CertificateError {}
