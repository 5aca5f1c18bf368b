//! Identities of the two sides, and the decision which peers are accepted.
//!
//! # Names
//!
//! Every workload has a name, a SPIFFE ID such as `spiffe://example.org/ns/shop/sa/cart` ([`SpiffeId`]), in an X.509
//! certificate. What stands before the path is the trust domain ([`TrustDomain`]): the names that one set of certificate
//! authorities vouches for. The name of the host does not matter, nor does its address.
//!
//! # This side
//!
//! An [`Identity`] is a certificate chain, the private key of its leaf, and [`TrustBundles`]: for each trust domain the
//! authorities that are trusted for it. It never changes. Handshakes take theirs from an [`IdentitySource`], one each:
//!
//! * `Arc<Identity>` itself, from PEM ([`Identity::from_pem`]) or with a key that lives elsewhere ([`Signer`]);
//! * [`IdentityFiles`], which reads PEM files again when they change, as cert-manager, spiffe-helper and Vault write them;
//! * `WorkloadApi` (feature `workload-api`), which follows a SPIRE agent, or another one that speaks the SPIFFE Workload API;
//! * another implementation.
//!
//! ```no_run
//! use std::time::SystemTime;
//! use alts_handshaker::identity::IdentityFiles;
//!
//! let source = IdentityFiles::builder("/run/svid/tls.crt", "/run/svid/tls.key")
//!     .bundle("example.org".parse()?, "/run/svid/ca.crt")
//!     .bundle("partner.example".parse()?, "/etc/alts/partner.pem")
//!     .load(SystemTime::now())?;
//! source.watch()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For a first try, `alts-handshaker dev-ca` makes certificates of the trust domain `dev.local`. Programs refuse that domain
//! unless they are told otherwise ([`TrustBundles::allow_development_domain`]), so it cannot be used in production by accident.
//!
//! # The peer
//!
//! A [`ChainVerifier`] decides whether a peer's certificates are good:
//!
//! * 1 to 5 certificates of at most 8 KiB each and 24 KiB in all, the leaf first. The others may be in any order, and some may not be
//!   needed: issuers are found by name and key identifier, within 16 signatures;
//! * the leaf has exactly one URI, which is a SPIFFE ID with a path; it is no authority's; its keyUsage has digitalSignature and
//!   neither keyCertSign nor cRLSign; its extendedKeyUsage, if there is one, allows the role in which the peer acts (a workload
//!   that is both client and server needs `serverAuth` and `clientAuth`);
//! * the signatures lead to an authority of the leaf's own trust domain, and everything on the path is valid at the time of the
//!   handshake. There is no store that all domains share, so an authority of one domain cannot issue names of another;
//! * name constraints of the authorities hold for all names below them, URIs included;
//! * no certificate is on a current revocation list of its issuer, if the domain has any. Then every certificate needs one;
//! * keys are Ed25519, ECDSA over P-256 or P-384, or RSA of 2,048 to 4,096 bits. Issuers' signatures may be whatever webpki
//!   verifies with ring.
//!
//! Good chains are remembered for at most five minutes once the peer has proved itself, which saves most of the work for a peer
//! that comes again; a new bundle or revocation list takes effect with the next handshake all the same. Expiry ends new handshakes
//! and not connections: close those that should not outlive [`PeerIdentity::not_after`].
//!
//! # Who may talk
//!
//! A proved name is not a permission. A [`Policy`] decides: names, prefixes and trust domains that may be the peer, and
//! those that may not. Servers admit their own trust domain unless told otherwise; a client
//! always has to say who its server is. Other trust domains are admitted only where a rule names them.

mod anchor;
mod cache;
mod certificate;
mod chain;
mod constraints;
mod der;
mod digest;
mod domains;
mod error;
mod files;
mod key;
mod life;
mod name;
mod path;
mod peer;
mod pem;
mod policy;
mod reloading;
mod revocation;
mod signed;
mod signer;
mod snapshot;
mod source;
mod spiffe;
mod stats;
mod trust;
mod validity;
mod verify;
#[cfg(feature = "workload-api")]
mod workload_api;

#[cfg(feature = "dev-ca")]
pub(crate) use certificate::authority_of;
pub(crate) use chain::{certified, claims};
pub(crate) use files::FileContents;
pub(crate) use validity::seconds;

pub use cache::CacheStats;
pub use chain::VerifiedPeer;
pub use error::{CertificateError, IdentityError};
pub use files::{DEFAULT_WATCH_INTERVAL, IdentityFiles, IdentityFilesBuilder};
pub use key::{BadSignature, SignatureScheme};
pub use peer::PeerIdentity;
pub use policy::{Denial, Policy, Rule};
pub use signer::{PrivateKey, Signer};
pub use snapshot::Identity;
pub use source::IdentitySource;
pub use spiffe::{SpiffeId, SpiffeIdError, TrustDomain};
pub use stats::{BundleStats, IdentityStats};
pub use trust::{DEVELOPMENT_TRUST_DOMAIN, TrustBundles};
pub use verify::{ChainVerifier, ClaimedPeer};
#[cfg(feature = "workload-api")]
pub use workload_api::{SPIFFE_ENDPOINT_SOCKET, WorkloadApi, WorkloadApiBuilder};
