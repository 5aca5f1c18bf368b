//! How a side proves who it is: a signature by its certificate's key over the transcript, and a MAC by the handshake's keys
//! over that. And whether who it is may be the peer.

use std::sync::Arc;
use std::time::SystemTime;

use super::config::Config;
use super::finished::Finished;
use super::protocol::{Hash, MAX_SIGNATURE, SIGNATURE_PAD, signature_context};
use super::schedule::Direction;
use crate::alert::AlertCode;
use crate::error::Error;
use crate::identity::{Identity, SignatureScheme, SpiffeId, VerifiedPeer, certified, claims};
use crate::role::Role;

/// The schemes that this side verifies, which it tells the peer.
pub(super) fn offered_schemes() -> Vec<u16> {
    SignatureScheme::ALL.map(|scheme| scheme.0).to_vec()
}

/// The scheme that this side's key prefers among those that the peer verifies.
pub(super) fn choose_scheme(
    identity: &Identity,
    offered: &[u16],
) -> Result<SignatureScheme, Error> {
    let own = identity.signer().schemes();
    own.iter().find(|scheme| offered.contains(&scheme.0)).copied().ok_or_else(|| {
        Error::incompatible(
            AlertCode::HandshakeFailure,
            format!("the peer verifies the signature schemes {offered:04x?}, this side's key signs {own:?}"),
        )
    })
}

/// Signs TH2 or TH5.
pub(super) fn sign(
    identity: &Identity,
    scheme: SignatureScheme,
    signer: Role,
    transcript: &Hash,
) -> Result<Vec<u8>, Error> {
    let signature = identity.signer().sign(scheme, &signed_content(signer, transcript))?;
    if signature.len() > MAX_SIGNATURE {
        return Err(Error::Unavailable(format!(
            "the signer made a signature of {} bytes, more than {MAX_SIGNATURE}",
            signature.len()
        )));
    }
    Ok(signature)
}

/// What a message proves, hashed.
pub(super) struct Proved {
    /// TH2 or TH5.
    pub(super) statement: Hash,
    /// TH3 or TH6.
    pub(super) signature: Hash,
}

/// Verifies a peer's chain, then its signature, then its MAC.
pub(super) fn verify<P>(
    config: &Config,
    signer: Role,
    finished: &Finished<'_, P>,
    proved: &Proved,
    direction: &Direction,
    now: SystemTime,
) -> Result<Arc<VerifiedPeer>, Error> {
    let claimed = config.verifier.verify(&config.identity, &finished.chain, signer, now).map_err(
        |error| Error::peer(error.code(), format!("{error}{}", claims(&finished.chain))),
    )?;
    let scheme = SignatureScheme(finished.scheme);
    if !SignatureScheme::ALL.contains(&scheme) {
        return Err(Error::illegal(format!("signature scheme {scheme:?} was not offered")));
    }
    let peer = claimed
        .verify_signature(scheme, &signed_content(signer, &proved.statement), finished.signature)
        .map_err(|_| Error::decrypt("the peer's signature does not fit its certificate"))?;
    direction.verify_mac(&proved.signature, &finished.mac)?;
    Ok(peer)
}

/// As [`authorize`], for a peer that proved who it is by `chain`, which the error describes.
pub(super) fn authorize_by(
    config: &Config,
    peer: &VerifiedPeer,
    chain: &[&[u8]],
) -> Result<(), Error> {
    authorize(config, peer.id()).map_err(|error| match error {
        Error::Denied { peer, detail } => {
            Error::Denied { peer, detail: format!("{detail}{}", certified(chain)).into() }
        }
        error => error,
    })
}

/// Whether the peer may be who it proved to be. Names are compared exactly.
pub(super) fn authorize(config: &Config, peer: &SpiffeId) -> Result<(), Error> {
    let denied = |detail| Error::Denied { peer: peer.to_string(), detail };
    let targets = &config.options.target_identities;
    if !targets.is_empty() && !targets.iter().any(|target| target == peer.as_str()) {
        return Err(denied("not among the target identities".into()));
    }
    match &config.policy {
        Some(policy) => policy
            .allows(peer, &config.identity.id().trust_domain())
            .map_err(|denial| denied(denial.into_reason())),
        // Only clients come without a policy, and only with targets.
        None if targets.is_empty() => Err(denied("there is no policy".into())),
        None => Ok(()),
    }
}

/// 64 spaces, a string for the role, a zero, the hash: the form of RFC 8446 section 4.4.3.
fn signed_content(signer: Role, transcript: &Hash) -> Vec<u8> {
    let context = signature_context(signer).as_bytes();
    [&SIGNATURE_PAD[..], context, &[0], transcript].concat()
}
