//! Sections 4, 11 and 12: what an engine has to say about a message.

use alts::handshaker::{HandshakeOptions, Role, RpcVersions};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::rand::SystemRandom;

use super::messages::{ClientInit, Finished, ServerInit};
use super::{code, kind};

/// The first 8 bytes of a frame: its whole length, or why it is refused.
pub(crate) fn header(bytes: [u8; 8], due: &[u32]) -> Result<usize, u16> {
    let [length, word] = [0, 4].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    if length < 4 {
        return Err(code::DECODE_ERROR);
    }
    if length > 32_764 {
        return Err(code::TOO_LARGE);
    }
    if !kind::ALL.contains(&word) {
        return Err(code::UNEXPECTED_MESSAGE);
    }
    let most = match word {
        kind::CLIENT_INIT => 4_096,
        kind::TICKET => 1_560,
        kind::SEALED_ALERT => 147,
        kind::ALERT => 131,
        _ => 32_768,
    };
    let len = 4 + length as usize;
    match len <= most {
        false => Err(code::TOO_LARGE),
        true if due.contains(&word) => Ok(len),
        true => Err(code::UNEXPECTED_MESSAGE),
    }
}

/// A server's choices.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) suite: u16,
    pub(crate) record_protocol: String,
    pub(crate) app_protocol: String,
    pub(crate) close_notify: bool,
    pub(crate) max_frame_size: u32,
}

/// Section 12.1. The server has both suites, X25519 first, and a key of `scheme`.
pub(crate) fn client_init(
    body: &[u8],
    options: &HandshakeOptions,
    scheme: u16,
) -> Result<Chosen, u16> {
    let init = ClientInit::read(body)?;
    if !init.versions.contains(&1) {
        return Err(code::UNSUPPORTED_VERSION);
    }
    if init.extensions.iter().any(|&kind| kind >= 0x8000) {
        return Err(code::UNSUPPORTED_EXTENSION);
    }
    let share_of = |suite| init.shares.iter().find(|share| share.0 == suite);
    let (suite, share) = share_of(1).or(share_of(2)).ok_or(code::NO_COMMON_SUITE)?;
    let record_protocol = first_allowed(&init.record_protocols, |name| {
        options.record_protocols.iter().any(|protocol| protocol.name() == name)
    });
    let record_protocol = record_protocol.ok_or(code::NO_COMMON_RECORD_PROTOCOL)?;
    let app_protocol = first_allowed(&init.app_protocols, |name| {
        options.application_protocols.iter().any(|protocol| protocol == name)
    });
    let app_protocol = app_protocol.ok_or(code::NO_COMMON_APP_PROTOCOL)?;
    rpc_versions(options.rpc_versions, init.rpc_versions)?;
    if !init.signature_schemes.contains(&scheme) {
        return Err(code::HANDSHAKE_FAILURE);
    }
    agrees(*suite, share)?;
    Ok(Chosen {
        suite: *suite,
        record_protocol,
        app_protocol,
        close_notify: options.close_notify && init.extensions.contains(&1),
        max_frame_size: init.max_frame_size,
    })
}

fn first_allowed(offered: &[String], allowed: impl Fn(&str) -> bool) -> Option<String> {
    offered.iter().find(|name| allowed(name)).cloned()
}

fn rpc_versions(own: RpcVersions, peer: [u32; 4]) -> Result<(), u16> {
    let [max, min] = [(peer[0], peer[1]), (peer[2], peer[3])];
    let highest = max.min((own.max.major, own.max.minor));
    let lowest = min.max((own.min.major, own.min.minor));
    if highest >= lowest { Ok(()) } else { Err(code::RPC_VERSION_MISMATCH) }
}

/// Whether a share leads to a secret.
fn agrees(suite: u16, share: &[u8]) -> Result<(), u16> {
    let algorithm = if suite == 1 { &X25519 } else { &ECDH_P256 };
    let own = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new()).unwrap();
    agree_ephemeral(own, &UnparsedPublicKey::new(algorithm, share), |_| ())
        .map_err(|_| code::DECRYPT_ERROR)
}

/// Section 12.2. The client has offered `suites`, each with a share.
pub(crate) fn server_init(body: &[u8], suites: &[u16]) -> Result<ServerInit, u16> {
    let init = ServerInit::read(body)?;
    if init.version != 1 {
        return Err(code::ILLEGAL_PARAMETER);
    }
    answered(&init.extensions, &[])?;
    if !suites.contains(&init.suite) {
        return Err(code::ILLEGAL_PARAMETER);
    }
    agrees(init.suite, &init.share)?;
    Ok(init)
}

fn answered(extensions: &[u16], offered: &[u16]) -> Result<(), u16> {
    if extensions.iter().any(|&kind| kind >= 0x8000) {
        return Err(code::UNSUPPORTED_EXTENSION);
    }
    match extensions.iter().all(|kind| offered.contains(kind)) {
        true => Ok(()),
        false => Err(code::ILLEGAL_PARAMETER),
    }
}

/// What is known about the sender of a Finished message.
pub(crate) struct Sender<'a> {
    pub(crate) role: Role,
    /// Whose key signed.
    pub(crate) chain: &'a [Vec<u8>],
    /// What its key signs with.
    pub(crate) scheme: u16,
    /// What the receiver says to its chain, and then to its name.
    pub(crate) chain_verdict: Result<(), u16>,
    pub(crate) name_verdict: Result<(), u16>,
    /// What it has signed, with its signature; and whether that signature is good.
    pub(crate) statement: &'a [u8],
    pub(crate) signature_item: &'a [u8],
    pub(crate) signed: bool,
    /// The MAC that belongs to this transcript.
    pub(crate) mac: &'a [u8],
}

/// Section 12.3 or 12.4, from step 3. `Err(None)` is some fault of a certificate.
pub(crate) fn finished(
    plaintext: &[u8],
    options: &HandshakeOptions,
    own_scheme: u16,
    sender: &Sender<'_>,
) -> Result<Finished, Option<u16>> {
    let finished = Finished::read(plaintext, sender.role == Role::Server)?;
    // The leaf first, then the others in any order and any number. Nobody else's certificates were at hand.
    let (sent, known) = (&finished.chain, sender.chain);
    let is_whole = known.iter().all(|der| sent.contains(der));
    if sent[0] != known[0] || !is_whole || sent.iter().any(|der| !known.contains(der)) {
        return Err(None);
    }
    sender.chain_verdict?;
    if ![0x0403, 0x0503, 0x0804, 0x0807].contains(&finished.scheme) {
        return Err(Some(code::ILLEGAL_PARAMETER));
    }
    let same =
        finished.statement == sender.statement && finished.signature_item == sender.signature_item;
    if !same || !sender.signed || finished.scheme != sender.scheme || finished.mac != sender.mac {
        return Err(Some(code::DECRYPT_ERROR));
    }
    let Some(choice) = &finished.choice else {
        answered(&finished.extensions, &[])?;
        sender.name_verdict?;
        return Ok(finished);
    };
    let known = options.record_protocols.iter().any(|own| own.name() == choice.record_protocol);
    if !known || !options.application_protocols.contains(&choice.app_protocol) {
        return Err(Some(code::ILLEGAL_PARAMETER));
    }
    answered(&finished.extensions, if options.close_notify { &[1] } else { &[] })?;
    rpc_versions(options.rpc_versions, choice.rpc_versions)?;
    sender.name_verdict?;
    if !choice.signature_schemes.contains(&own_scheme) {
        return Err(Some(code::HANDSHAKE_FAILURE));
    }
    Ok(finished)
}
