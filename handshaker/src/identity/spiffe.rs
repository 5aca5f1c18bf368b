//! SPIFFE IDs: the names in certificates.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The scheme and the slashes that every SPIFFE ID begins with.
const SCHEME: &str = "spiffe://";

/// The longest SPIFFE ID, in bytes (SPIFFE-ID, section 2.3).
pub(crate) const MAX_ID_LEN: usize = 2_048;

/// The longest trust domain name, in bytes (SPIFFE-ID, section 2.3).
const MAX_TRUST_DOMAIN_LEN: usize = 255;

/// Why a text is not a SPIFFE ID or trust domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// It does not begin with `spiffe://`.
    Scheme,
    /// It has more than 2,048 bytes, or its trust domain more than 255.
    TooLong,
    /// The trust domain is empty or has a character outside `[a-z0-9._-]`: an upper-case letter, a user name, a port.
    TrustDomain,
    /// There is no path, so that it names a trust domain and no workload.
    NoPath,
    /// A path segment is empty, `.` or `..`, or has a character outside `[A-Za-z0-9._-]`.
    PathSegment,
}

impl fmt::Display for SpiffeIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "does not begin with spiffe://",
            Self::TooLong => "too long (2,048 bytes for the whole, 255 for the trust domain)",
            Self::TrustDomain => "the trust domain is empty or has characters outside [a-z0-9._-]",
            Self::NoPath => "has no path",
            Self::PathSegment => {
                "a path segment is empty, . or .., or has characters outside [A-Za-z0-9._-]"
            }
        })
    }
}

impl std::error::Error for SpiffeIdError {}

/// The name of a trust domain: what one certificate authority, or set of them, vouches for.
///
/// ```
/// use alts_handshaker::identity::TrustDomain;
///
/// let domain: TrustDomain = "example.org".parse()?;
/// assert_eq!(domain.as_str(), "example.org");
/// assert!("Example.org".parse::<TrustDomain>().is_err());
/// # Ok::<(), alts_handshaker::identity::SpiffeIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// The name, without a scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        check_trust_domain(text)?;
        Ok(Self(text.into()))
    }
}

impl Borrow<str> for TrustDomain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a workload: `spiffe://<trust domain>/<path>`.
///
/// The text is kept as it came; nothing is normalized, so two IDs are the same exactly when their bytes are. Cloning copies a
/// pointer.
///
/// ```
/// use alts_handshaker::identity::SpiffeId;
///
/// let id: SpiffeId = "spiffe://example.org/ns/shop/sa/cart".parse()?;
/// assert_eq!(id.trust_domain().as_str(), "example.org");
/// assert_eq!(id.path(), "/ns/shop/sa/cart");
/// # Ok::<(), alts_handshaker::identity::SpiffeIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    /// Where the path begins.
    path: u16,
}

impl SpiffeId {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain that the ID belongs to.
    pub fn trust_domain(&self) -> TrustDomain {
        TrustDomain(self.trust_domain_name().into())
    }

    /// The trust domain's name, without making a [`TrustDomain`].
    pub fn trust_domain_name(&self) -> &str {
        &self.text[SCHEME.len()..usize::from(self.path)]
    }

    /// The path, from its first slash. Never empty.
    pub fn path(&self) -> &str {
        &self.text[usize::from(self.path)..]
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        let (domain, path) = split(text)?;
        check_trust_domain(domain)?;
        check_path(path.ok_or(SpiffeIdError::NoPath)?)?;
        Ok(Self { text: text.into(), path: (SCHEME.len() + domain.len()) as u16 })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Takes the scheme off and divides the rest at its first slash. The path comes without that slash.
pub(super) fn split(text: &str) -> Result<(&str, Option<&str>), SpiffeIdError> {
    if text.len() > MAX_ID_LEN {
        return Err(SpiffeIdError::TooLong);
    }
    let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
    Ok(match rest.split_once('/') {
        Some((domain, path)) => (domain, Some(path)),
        None => (rest, None),
    })
}

fn check_trust_domain(name: &str) -> Result<(), SpiffeIdError> {
    if name.len() > MAX_TRUST_DOMAIN_LEN {
        return Err(SpiffeIdError::TooLong);
    }
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(SpiffeIdError::TrustDomain);
    }
    Ok(())
}

/// Checks a path that has lost its first slash.
pub(super) fn check_path(path: &str) -> Result<(), SpiffeIdError> {
    let plain =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let good = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
    };
    if path.split('/').all(good) { Ok(()) } else { Err(SpiffeIdError::PathSegment) }
}
