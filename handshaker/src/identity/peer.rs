//! What an application learns about its peer.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::spiffe::SpiffeId;

/// Who a peer proved to be.
///
/// One `Arc` of it is shared by all connections that proved themselves with the same certificates, so a connection pays for a
/// pointer only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    name: Name,
    not_after: Option<SystemTime>,
    attributes: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Spiffe(SpiffeId),
    /// What a handshaker service calls the peer, for instance an email address.
    Service(Box<str>),
}

impl PeerIdentity {
    /// A peer whose certificates were verified in this process.
    pub(crate) fn from_certificates(id: SpiffeId, not_after: SystemTime) -> Self {
        Self { name: Name::Spiffe(id), not_after: Some(not_after), attributes: BTreeMap::new() }
    }

    /// A peer that a handshaker service vouches for. A `name` that is a SPIFFE ID is one ([`spiffe_id`](Self::spiffe_id)).
    pub fn from_service(name: &str, attributes: BTreeMap<String, String>) -> Self {
        let name = name.parse().map_or_else(|_| Name::Service(name.into()), Name::Spiffe);
        Self { name, not_after: None, attributes }
    }

    /// ALTS's "service account": the SPIFFE ID's text, or whatever name a handshaker service gave.
    pub fn name(&self) -> &str {
        match &self.name {
            Name::Spiffe(id) => id.as_str(),
            Name::Service(name) => name,
        }
    }

    /// The SPIFFE ID, if the peer has one.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        match &self.name {
            Name::Spiffe(id) => Some(id),
            Name::Service(_) => None,
        }
    }

    /// When the first of the peer's certificates expires. A connection may outlive it: close those that should not.
    /// `None` when a service does not tell.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.not_after
    }

    /// What a handshaker service adds. Empty for peers that were verified in this process.
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }
}
