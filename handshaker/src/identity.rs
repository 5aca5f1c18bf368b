//! Who the two sides are.

mod cache;
mod certificate;
mod der;
mod error;
mod files;
mod key;
mod peer;
mod policy;
mod signer;
mod snapshot;
mod spiffe;
mod trust;
mod verify;

#[cfg(feature = "dev-ca")]
pub(crate) use certificate::authority_of;

pub use cache::CacheStats;
pub use error::{CertificateError, IdentityError};
pub use files::{DEFAULT_WATCH_INTERVAL, IdentityFiles, IdentityFilesBuilder};
pub use key::{BadSignature, SignatureScheme};
pub use peer::PeerIdentity;
pub use policy::{Denial, Policy, Rule};
pub use signer::{PrivateKey, Signer};
pub use snapshot::{Identity, IdentitySource};
pub use spiffe::{SpiffeId, SpiffeIdError, TrustDomain};
pub use trust::{DEVELOPMENT_TRUST_DOMAIN, TrustBundles};
pub use verify::{ChainVerifier, VerifiedPeer};
