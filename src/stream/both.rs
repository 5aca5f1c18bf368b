//! A connection with both directions: how it begins, comes apart and is put together again.

use std::io;
use std::sync::Arc;

use alts_handshaker::{HandshakeResult, Role};

use super::channel::{Channel, ConnectionKeys, Held};
use super::receive::{Arrived, Receiving};
use super::send::{Sending, Unsent};
use super::terms::{OwnTerms, Terms};
use crate::ready::{Sink, Source};
use crate::record::{RecordError, TrafficKeys};

impl Channel<Receiving, Sending> {
    /// Makes a channel from what the handshake negotiated. `terms` was made from `result` too.
    pub(crate) fn new(
        role: Role,
        result: &mut HandshakeResult,
        terms: Arc<Terms>,
    ) -> Result<Self, RecordError> {
        let keys = TrafficKeys::new(result.record_protocol, result.key_data.as_bytes())?;
        let held = result.late_alert.take().map(|key| {
            Box::new(Held { arrived: Arrived::awaiting_alert(key), unsent: Unsent::default() })
        });
        Ok(Self {
            keys: ConnectionKeys(keys),
            receiving: Receiving::new(role),
            sending: Sending::new(role),
            terms: OwnTerms::new(terms),
            moving: None,
            held,
        })
    }

    /// Takes the channel apart: each direction by itself.
    #[cfg(feature = "tokio")]
    pub(super) fn split(self) -> (Channel<Receiving, ()>, Channel<(), Sending>) {
        let Self { keys, receiving, sending, terms, moving, held } = self;
        let Held { arrived, unsent } = held.map_or_else(Held::default, |held| *held);
        let (terms, others) = terms.pair();
        let mut receiver = Channel {
            keys: keys.clone(),
            receiving,
            sending: (),
            terms,
            moving,
            held: Some(Box::new(Held { arrived, unsent: () })),
        };
        let mut sender = Channel {
            keys,
            receiving: (),
            sending,
            terms: others,
            moving: None,
            held: Some(Box::new(Held { arrived: (), unsent })),
        };
        receiver.tidy();
        sender.tidy();
        (receiver, sender)
    }

    /// Undoes [`split`](Self::split).
    #[cfg(feature = "tokio")]
    pub(super) fn join(receiver: Channel<Receiving, ()>, sender: Channel<(), Sending>) -> Self {
        let arrived = receiver.held.map_or_else(Arrived::default, |held| held.arrived);
        let unsent = sender.held.map_or_else(Unsent::default, |held| held.unsent);
        let mut whole = Self {
            keys: receiver.keys,
            receiving: receiver.receiving,
            sending: sender.sending,
            terms: receiver.terms,
            moving: receiver.moving,
            held: Some(Box::new(Held { arrived, unsent })),
        };
        whole.tidy();
        whole
    }

    /// [`shutdown`](Self::shutdown), then [`take_close`](Self::take_close). After the peer's authenticated end it is no error
    /// if the close cannot be sent any more.
    pub(crate) fn close(&mut self, io: &mut (impl Source + Sink)) -> io::Result<()> {
        let shut = self.shutdown(io);
        if self.is_closed() {
            self.take_close(io);
            if self.peer_closed_authenticated() && self.forgive_lost_close() {
                return Ok(());
            }
        }
        shut
    }
}
