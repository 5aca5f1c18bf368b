//! What a client does to resume: it asks for a ticket, offers the one it has, and proves by its secret what else certificates prove.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::config::Config;
use super::super::finished::{ClientParameters, Parameters, ServerParameters, ShortFinished};
use super::super::frame::{self, Frame};
use super::super::negotiate;
use super::super::padding;
use super::super::proof;
use super::super::protocol::{
    FrameKind, HASH_LEN, Hash, PADDING_UNIT, Stage, Th0, Th1, Transcript,
};
use super::super::resumption::{self as wire, NewTicket, OfferedTicket};
use super::super::schedule::{EarlySalt, EarlySecret, Secrets};
use super::super::seal::MessageKey;
use crate::error::Error;
use crate::identity::{SpiffeId, VerifiedPeer};
use crate::resumption::{Accepted, CacheKey, Offer, Psk, Side, TicketCache, TicketState};
use crate::session::HandshakeResult;

/// The place of a binder before it is known.
const NO_BINDER: [u8; HASH_LEN] = [0; HASH_LEN];

/// A client's wish for tickets, which it states in its offer.
pub(super) struct Wish {
    cache: Arc<TicketCache>,
    key: CacheKey,
}

/// A ticket that is to be offered.
pub(super) struct Taken {
    kept: Kept,
    early: EarlySecret,
}

/// A ticket that is on offer. Unless the server answers, it goes back.
pub(super) struct OnOffer {
    kept: Kept,
    salt: EarlySalt,
}

/// A ticket that goes back unless it is used.
struct Kept {
    cache: Arc<TicketCache>,
    offer: Option<Offer>,
    now: SystemTime,
}

/// A ticket that the server has seen, which is used by that.
pub(super) struct Used {
    offer: Offer,
    salt: EarlySalt,
}

impl Used {
    pub(super) fn salt(&self) -> &EarlySalt {
        &self.salt
    }
}

impl Wish {
    /// What a client with a cache wishes, if it can tell its servers apart: by the one identity that the server may have, or else by
    /// the name that the caller has for it.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let tickets = config.client_tickets.as_ref()?;
        let target = match &*config.options.target_identities {
            [target] => target,
            _ => config.options.target_name.as_ref()?,
        };
        let key = CacheKey {
            own: config.identity.id().clone(),
            target: target.as_str().into(),
            partition: tickets.partition,
        };
        Some(Self { cache: Arc::clone(&tickets.cache), key })
    }

    /// The ticket to offer, if there is one that this side would accept itself.
    pub(super) fn take(&self, config: &Config, now: SystemTime) -> Option<Taken> {
        let permits = |id: &SpiffeId| proof::authorize(config, id).is_ok();
        let side = Side { identity: &config.identity, permits: &permits, require_fresh: None, now };
        let offer = self.cache.take(&self.key, &side)?;
        let early = EarlySecret::of(offer.psk().as_bytes());
        let kept = Kept { cache: Arc::clone(&self.cache), offer: Some(offer), now };
        Some(Taken { kept, early })
    }

    /// Keeps a ticket that the server gave, if it gave one.
    fn keep(&self, new: &NewTicket<'_>, state: TicketState, now: SystemTime) {
        self.cache.insert(&self.key, new.ticket, new.lifetime, state, now);
    }

    /// For the ticket that was announced, which will come behind this side's last message.
    pub(super) fn await_ticket(
        self,
        config: &Config,
        peer: &VerifiedPeer,
        (key, psk): (MessageKey, Psk),
        log_id: [u8; 16],
        now: SystemTime,
    ) -> AwaitedTicket {
        let max_age = self.cache.max_age();
        let state = TicketState::proved(psk, peer, &config.identity, log_id, max_age, now);
        AwaitedTicket { key, wish: self, state, now }
    }
}

/// What opens the ticket that the server announced, and what it will be kept with.
pub(in crate::engine) struct AwaitedTicket {
    key: MessageKey,
    wish: Wish,
    state: Option<TicketState>,
    /// The time of the handshake: a ticket that takes long lives no longer for that.
    now: SystemTime,
}

impl AwaitedTicket {
    pub(in crate::engine) fn take(self, frame: &mut Frame) -> Result<(), Error> {
        let new = NewTicket::load_frame(frame.open(&self.key)?)?;
        if let Some(state) = self.state {
            self.wish.keep(&new, state, self.now);
        }
        Ok(())
    }
}

/// The extension in `ClientInit`. The binder is written by [`Taken::bind`].
pub(super) fn extension(ticket: Option<&Taken>) -> wire::Offer<'_> {
    let ticket = ticket
        .map(|taken| OfferedTicket { ticket: taken.kept.offer().ticket(), binder: &NO_BINDER });
    wire::Offer { want: true, ticket }
}

impl Taken {
    /// Writes the binder into the whole frame, where the extension is the last one and its binder the last of it.
    pub(super) fn bind(self, transcript: Transcript, client_init: &mut [u8]) -> (OnOffer, Th0) {
        let Self { kept, early } = self;
        let (before, binder) =
            client_init.split_last_chunk_mut().expect("the offer ends with a binder");
        debug_assert_eq!(*binder, NO_BINDER);
        let transcript = transcript.up_to_binder(before);
        *binder = early.binder(&transcript.hash(&[]));
        (OnOffer { kept, salt: early.into_salt() }, transcript.client_init(binder))
    }
}

impl OnOffer {
    /// The server has answered.
    pub(super) fn used(self) -> Used {
        let Self { mut kept, salt } = self;
        Used { offer: kept.offer.take().expect("it is there until it is used"), salt }
    }
}

impl Kept {
    fn offer(&self) -> &Offer {
        self.offer.as_ref().expect("it is there until it is used")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(offer) = self.offer.take() {
            self.cache.put_back(offer, self.now);
        }
    }
}

/// The ticket is accepted. The server has not yet shown that it could open it.
pub(in crate::engine) struct AwaitShortFinished {
    config: Box<Config>,
    secrets: Secrets,
    transcript: Th1,
    th1: Hash,
    wish: Wish,
    offer: Offer,
}

impl AwaitShortFinished {
    pub(super) fn new(
        config: Box<Config>,
        secrets: Secrets,
        (transcript, th1): (Th1, Hash),
        wish: Wish,
        ticket: Used,
    ) -> Self {
        Self { config, secrets, transcript, th1, wish, offer: ticket.offer }
    }

    /// Makes sure that the server has the ticket's secret, judges once more whether it may be the peer, and answers.
    pub(in crate::engine) fn server_finished(
        self,
        frame: &mut Frame,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<HandshakeResult, Error> {
        let Self { config, secrets, transcript, th1, wish, offer } = self;
        let server = secrets.server.expander();
        let plaintext = frame.open(&server.message_key())?;
        let finished = ShortFinished::<ServerParameters<'_, NewTicket<'_>>>::load(plaintext)?;

        let transcript = transcript.server_statement(finished.statement).no_server_signature();
        server.verify_mac(&transcript.hash(), &finished.mac)?;
        let transcript = transcript.server_mac(&finished.mac);
        let agreed = negotiate::check(&config.options, true, &finished.parameters)?;
        let accepted = accept(&config, &wish, offer, now)?;

        let mut plaintext = Vec::with_capacity(PADDING_UNIT);
        ClientParameters::default().encode(&mut plaintext);
        let transcript = transcript.client_statement(&plaintext).no_client_signature();
        let client = secrets.client.expander();
        let mac = client.mac(&transcript.hash());
        plaintext.extend_from_slice(&mac);
        padding::encode(&mut plaintext);
        let th7 = transcript.client_mac(&mac).hash();
        frame::write_sealed(out, FrameKind::ClientFinished, client.message_key(), &plaintext);

        let master = secrets.master.expander();
        if let Some(new) = finished.parameters.extensions.resumption() {
            let psk = master.next_ticket(&th1);
            wish.keep(new, accepted.renewed(psk, &config.identity), now);
        }
        Ok(config.resumed_result(agreed, &accepted, &master, &th7))
    }
}

/// Everything that was judged when the ticket was offered, again: time has passed.
fn accept(config: &Config, wish: &Wish, offer: Offer, now: SystemTime) -> Result<Accepted, Error> {
    let peer = offer.peer().to_string();
    let permits = |id: &SpiffeId| proof::authorize(config, id).is_ok();
    let side = Side { identity: &config.identity, permits: &permits, require_fresh: None, now };
    wish.cache.accept(offer, &side).map_err(|reason| Error::Denied {
        peer,
        detail: format!("the ticket cannot be used any more: {reason}").into(),
    })
}
