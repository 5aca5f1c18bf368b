//! What the two sides agree on. Record and application protocol are the client's preferences among what the server allows,
//! which is ALTS's rule; version and suite are the server's preferences among what the client offers.

use super::client_init::ClientInit;
use super::extensions::{Form, Offered};
use super::finished::ServerParameters;
use super::key_share::Suite;
use super::protocol::VERSION;
use crate::alert::AlertCode;
use crate::error::Error;
use crate::session::{HandshakeOptions, RecordProtocol, RpcVersions};

/// What goes into the result besides keys and identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) record_protocol: RecordProtocol,
    pub(super) application_protocol: String,
    pub(super) peer_rpc_versions: RpcVersions,
    pub(super) peer_max_frame_size: u32,
    pub(super) close_notify: bool,
}

/// The server's choice of suite, with the client's share for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChosenShare<'a> {
    pub(super) suite: Suite,
    pub(super) peer: &'a [u8],
}

/// The server's side. `suites` are its own, the preferred one first.
pub(super) fn choose<'a>(
    options: &HandshakeOptions,
    suites: &[Suite],
    offer: &ClientInit<'a>,
) -> Result<(ChosenShare<'a>, Agreed), Error> {
    if !offer.versions.contains(&VERSION) {
        return Err(Error::incompatible(
            AlertCode::UnsupportedVersion,
            format!("the client offers versions {:?}", offer.versions),
        ));
    }
    offer.extensions.check_offer()?;

    let share_for = |&suite: &Suite| {
        let share = offer.shares.iter().find(|share| share.suite == suite.number())?;
        Some(ChosenShare { suite, peer: share.key })
    };
    let share = suites.iter().find_map(share_for).ok_or_else(|| {
        Error::incompatible(
            AlertCode::NoCommonSuite,
            format!(
                "the client offers suites {:?} and shares for none that this side allows",
                offer.suites
            ),
        )
    })?;

    let record_protocol = offer
        .record_protocols
        .iter()
        .filter_map(|name| RecordProtocol::from_name(name))
        .find(|protocol| options.record_protocols.contains(protocol))
        .ok_or_else(|| {
            Error::incompatible(
                AlertCode::NoCommonRecordProtocol,
                format!("the client offers record protocols {:?}", offer.record_protocols),
            )
        })?;
    let application_protocol = offer
        .app_protocols
        .iter()
        .find(|&&name| options.application_protocols.iter().any(|allowed| allowed == name))
        .ok_or_else(|| {
            Error::incompatible(
                AlertCode::NoCommonAppProtocol,
                format!("the client offers application protocols {:?}", offer.app_protocols),
            )
        })?;
    check_rpc_versions(options, offer.rpc_versions)?;

    let agreed = Agreed {
        record_protocol,
        application_protocol: (*application_protocol).to_owned(),
        peer_rpc_versions: offer.rpc_versions,
        peer_max_frame_size: offer.max_frame_size,
        close_notify: options.close_notify && offer.extensions.close_notify(),
    };
    Ok((share, agreed))
}

/// The client's side: everything that the server chose must have been offered.
pub(super) fn check<'a, R: Form<'a>>(
    options: &HandshakeOptions,
    ticket_wanted: bool,
    choice: &ServerParameters<'a, R>,
) -> Result<Agreed, Error> {
    let record_protocol = RecordProtocol::from_name(choice.record_protocol)
        .filter(|protocol| options.record_protocols.contains(protocol))
        .ok_or_else(|| not_offered("record protocol", choice.record_protocol))?;
    if !options.application_protocols.iter().any(|offered| offered == choice.app_protocol) {
        return Err(not_offered("application protocol", choice.app_protocol));
    }
    let offered = Offered { close_notify: options.close_notify, resumption: ticket_wanted };
    choice.extensions.check_answer(offered)?;
    check_rpc_versions(options, choice.rpc_versions)?;
    Ok(Agreed {
        record_protocol,
        application_protocol: choice.app_protocol.to_owned(),
        peer_rpc_versions: choice.rpc_versions,
        peer_max_frame_size: choice.max_frame_size,
        close_notify: choice.extensions.close_notify(),
    })
}

fn not_offered(what: &str, name: &str) -> Error {
    Error::illegal(format!("the server chose the {what} {name:?}, which was not offered"))
}

fn check_rpc_versions(options: &HandshakeOptions, peer: RpcVersions) -> Result<(), Error> {
    if options.rpc_versions.compatible_with(peer) {
        return Ok(());
    }
    Err(Error::incompatible(
        AlertCode::RpcVersionMismatch,
        format!(
            "the peer's RPC versions are {}.{} to {}.{}",
            peer.min.major, peer.min.minor, peer.max.major, peer.max.minor
        ),
    ))
}
