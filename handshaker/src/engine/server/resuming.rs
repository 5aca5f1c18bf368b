//! What a server does to resume: it judges tickets, and seals new ones.

use std::time::SystemTime;

use super::super::config::{Config, ServerTickets};
use super::super::extensions::Offered;
use super::super::finished::{ClientParameters, Parameters, ShortFinished};
use super::super::frame::{self, Frame};
use super::super::negotiate::Agreed;
use super::super::padding;
use super::super::proof;
use super::super::protocol::{
    FrameKind, HASH_LEN, Hash, PADDING_UNIT, Stage, Th0, Th4, Transcript,
};
use super::super::resumption::{NewTicket, OfferedTicket};
use super::super::schedule::{DirectionSecret, EarlySalt, EarlySecret, MasterSecret, Secrets};
use super::super::seal::MessageKey;
use super::Keyed;
use crate::error::Error;
use crate::identity::{SpiffeId, VerifiedPeer};
use crate::resumption::{Accepted, Issued, Psk, Refused, Scope, Side, TicketState};
use crate::session::HandshakeResult;

/// A ticket that is accepted, and the secret that the handshake begins with.
pub(super) struct Resuming {
    accepted: Accepted,
    pub(super) salt: EarlySalt,
}

impl Resuming {
    /// Judges the ticket of an offer, which comes with the hash that its binder is over. `None`: there is none, or it is refused, and the handshake is a full one. A binder that does
    /// not fit ends the handshake: whoever sent it does not have the ticket's secret.
    pub(super) fn judge(
        config: &Config,
        offered: Option<(OfferedTicket<'_>, Hash)>,
        now: SystemTime,
    ) -> Result<Option<Self>, Error> {
        let Some((offered, unbound)) = offered else { return Ok(None) };
        let Some(tickets) = &config.server_tickets else {
            refused(Refused::Disabled);
            return Ok(None);
        };
        tickets.keys.counters().offered();
        match Self::try_ticket(config, tickets, offered, &unbound, now)? {
            Ok(resuming) => {
                tickets.keys.counters().accepted();
                Ok(Some(resuming))
            }
            Err(reason) => {
                tickets.keys.counters().refused(reason);
                refused(reason);
                Ok(None)
            }
        }
    }

    fn try_ticket(
        config: &Config,
        tickets: &ServerTickets,
        offered: OfferedTicket<'_>,
        unbound: &Hash,
        now: SystemTime,
    ) -> Result<Result<Self, Refused>, Error> {
        let opened = match tickets.keys.open(&tickets.scope(config), offered.ticket, now) {
            Ok(opened) => opened,
            Err(reason) => return Ok(Err(reason)),
        };
        let early = EarlySecret::of(opened.psk().as_bytes());
        early.verify_binder(unbound, offered.binder)?;
        // Only from here on anything is learnt from the ticket: the client has its secret.
        let permits = |id: &SpiffeId| proof::authorize(config, id).is_ok();
        let side = Side {
            identity: &config.identity,
            permits: &permits,
            require_fresh: tickets.require_fresh,
            now,
        };
        Ok(opened.accept(&side).map(|accepted| Self { accepted, salt: early.into_salt() }))
    }
}

impl Keyed {
    /// Writes the `ServerFinished` of a resumed handshake, with the next ticket if the client wants one.
    pub(super) fn resume(
        self,
        resuming: Resuming,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> AwaitShortFinished {
        let accepted = resuming.accepted;
        let issued = match &self.config.server_tickets {
            Some(tickets) if self.gives_ticket => {
                let psk = self.secrets.master.expander().next_ticket(&self.th1);
                let state = accepted.renewed(psk, &self.config.identity);
                tickets.issue(&self.config, &state, now)
            }
            _ => None,
        };
        let new = self.gives_ticket.then(|| new_ticket(issued.as_ref()));
        let parameters = self.parameters(new);
        let mut plaintext = Vec::with_capacity(PADDING_UNIT);
        parameters.encode(&mut plaintext);
        let transcript = self.transcript.server_statement(&plaintext).no_server_signature();
        let server = self.secrets.server.expander();
        let mac = server.mac(&transcript.hash());
        plaintext.extend_from_slice(&mac);
        padding::encode(&mut plaintext);
        let transcript = transcript.server_mac(&mac);
        frame::write_sealed(out, FrameKind::ServerFinished, server.message_key(), &plaintext);

        let Self { config, agreed, secrets, .. } = self;
        let Secrets { server: _, client, master } = secrets;
        AwaitShortFinished { config, agreed, client, master, transcript, accepted }
    }
}

impl ServerTickets {
    fn scope<'a>(&'a self, config: &'a Config) -> Scope<'a> {
        Scope { server: config.identity.id(), realm: &self.realm }
    }

    fn issue(&self, config: &Config, state: &TicketState, now: SystemTime) -> Option<Issued> {
        self.keys.seal(&self.scope(config), state, now)
    }
}

fn refused(reason: Refused) {
    tracing::debug!(%reason, "a ticket is refused; the handshake is a full one");
}

/// The transcript, and the hash of the offer with zeros in place of its binder, if it has one.
pub(super) fn transcript(
    client_init: &[u8],
    ticket: Option<&OfferedTicket<'_>>,
) -> (Th0, Option<Hash>) {
    let transcript = Transcript::new();
    let Some(ticket) = ticket else {
        return (transcript.client_init(client_init), None);
    };
    let at = ticket.binder.as_ptr().addr() - client_init.as_ptr().addr();
    let (before, binder_and_after) = client_init.split_at(at);
    let transcript = transcript.up_to_binder(before);
    let unbound = transcript.hash(&binder_and_after[HASH_LEN..]);
    (transcript.client_init(binder_and_after), Some(unbound))
}

fn new_ticket(issued: Option<&Issued>) -> NewTicket<'_> {
    issued.map_or(NewTicket::NONE, |issued| NewTicket {
        lifetime: issued.lifetime,
        ticket: &issued.ticket,
    })
}

/// Writes the `Ticket` that was announced, after a full handshake in which the client proved itself. It is an empty one if there is
/// none to give.
pub(super) fn write_ticket(
    config: &Config,
    peer: &VerifiedPeer,
    (key, psk): (MessageKey, Psk),
    log_id: [u8; 16],
    now: SystemTime,
    out: &mut Vec<u8>,
) {
    let issued = config.server_tickets.as_ref().and_then(|tickets| {
        let max_age = tickets.keys.max_age();
        let state = TicketState::proved(psk, peer, &config.identity, log_id, max_age, now)?;
        tickets.issue(config, &state, now)
    });
    let mut plaintext = Vec::new();
    new_ticket(issued.as_ref()).encode_frame(&mut plaintext);
    frame::write_sealed(out, FrameKind::Ticket, key, &plaintext);
}

/// The server has shown that it could open the ticket; the client has shown its secret in the offer, and does so again.
pub(in crate::engine) struct AwaitShortFinished {
    config: Box<Config>,
    agreed: Agreed,
    client: DirectionSecret,
    master: MasterSecret,
    transcript: Th4,
    accepted: Accepted,
}

impl AwaitShortFinished {
    /// Only now there is a result.
    pub(in crate::engine) fn client_finished(
        self,
        frame: &mut Frame,
    ) -> Result<HandshakeResult, Error> {
        let Self { config, agreed, client, master, transcript, accepted } = self;
        let client = client.expander();
        let plaintext = frame.open(&client.message_key())?;
        let finished = ShortFinished::<ClientParameters<'_>>::load(plaintext)?;

        let transcript = transcript.client_statement(finished.statement).no_client_signature();
        client.verify_mac(&transcript.hash(), &finished.mac)?;
        let th7 = transcript.client_mac(&finished.mac).hash();
        // The server offers no extensions.
        finished.parameters.extensions.check_answer(Offered::default())?;
        // Policy and snapshot are those that accepted the ticket. They are asked once more all the same, as in a full handshake.
        let id = accepted.peer().spiffe_id().expect("tickets are of SPIFFE IDs");
        proof::authorize(&config, id)?;
        Ok(config.resumed_result(agreed, &accepted, &master.expander(), &th7))
    }
}
