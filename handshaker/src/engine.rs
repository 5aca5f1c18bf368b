//! The handshake `altsh1`: bytes and the time come in, bytes and at the end a result go out. It owns no socket and no clock.
//!
//! ```text
//!            client                                              server
//!
//!   Start ── ClientInit ──────────────────────────────────► AwaitClientInit
//!     │                                                            │
//!   AwaitServerInit ◄────────────────────────────── ServerInit ────┤
//!     │                                                            │
//!   AwaitServerFinished ◄─────────────────── {ServerFinished} ─────┤
//!     │                                                            │
//!     ├── {ClientFinished} ─────────────────────────────► AwaitClientFinished
//!     │                                                            │
//!   result                                                       result
//! ```
//!
//! Messages in braces are sealed. Where a ticket resumes an earlier handshake, both of these are short ones, without certificates
//! and signatures. Each state is a separate type, and its transition consumes it; from every state the
//! handshake may also end with an error, which then is all that it says.

mod alert;
mod client;
mod client_init;
mod codec;
mod config;
mod extensions;
mod finished;
mod first_frame;
mod frame;
mod inbox;
mod key_share;
mod names;
mod negotiate;
mod options;
mod padding;
mod proof;
mod protocol;
mod resumption;
mod schedule;
mod seal;
mod server;
mod server_init;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;
use std::task::{Context, Poll};
use std::time::SystemTime;

use self::alert::Alerts;
use self::first_frame::FirstFrame;
use self::inbox::{Expected, Inbox};
use self::protocol::FrameKind;
use crate::alert::AlertCode;
use crate::error::Error;
use crate::identity::IdentityError;
use crate::role::Role;
use crate::session::{HandshakeResult, HandshakeSession, LateAlert, Step};

pub use self::key_share::Suite;

#[cfg(feature = "remote")]
pub(crate) use self::alert::clear_alert;
pub(crate) use self::config::{ClientTickets, Config, ServerTickets};
#[cfg(feature = "remote")]
pub(crate) use self::frame::{FrameTracker, begins_with_an_offer};
pub(crate) use self::key_share::{Ephemerals, SystemEphemerals};

/// One `altsh1` handshake under way in this process; [`LocalHandshaker`](crate::LocalHandshaker) makes them.
///
/// As [`HandshakeSession`], but never pending. What it holds of a peer's bytes is at most one frame, 32 KiB, and never more
/// than twice what has arrived; when it has given its result or an error, it holds nothing.
pub struct Handshake {
    role: Role,
    inbox: Inbox,
    alerts: Alerts,
    state: State,
}

enum State {
    /// A client that has sent nothing.
    Start(Box<client::Start>),
    Waiting(Waiting),
    /// There is a result, or there was an error: what every further call gets.
    Over(Error),
}

/// For one message of the peer.
enum Waiting {
    ServerInit(Box<client::AwaitServerInit>),
    ServerFinished(Box<client::AwaitServerFinished>),
    ShortServerFinished(Box<client::AwaitShortFinished>),
    ClientInit(Box<server::AwaitClientInit>),
    ClientFinished(Box<server::AwaitClientFinished>),
    ShortClientFinished(Box<server::AwaitShortFinished>),
}

impl Waiting {
    fn expected(&self, alerts: &Alerts) -> Expected {
        let (message, first) = match self {
            Self::ServerInit(_) => (FrameKind::ServerInit, true),
            Self::ServerFinished(_) | Self::ShortServerFinished(_) => {
                (FrameKind::ServerFinished, false)
            }
            Self::ClientInit(_) => (FrameKind::ClientInit, true),
            Self::ClientFinished(_) | Self::ShortClientFinished(_) => {
                (FrameKind::ClientFinished, false)
            }
        };
        Expected { message, sealed_alert: alerts.opens_sealed(), first }
    }
}

impl Handshake {
    pub(crate) fn new(role: Role, config: Config) -> Result<Self, Error> {
        let state = match role {
            Role::Client => State::Start(Box::new(client::Start::new(config)?)),
            Role::Server => {
                let state = server::AwaitClientInit::new(config)?;
                State::Waiting(Waiting::ClientInit(Box::new(state)))
            }
        };
        Ok(Self { role, inbox: Inbox::default(), alerts: Alerts::clear(), state })
    }

    /// A server without an identity. It reads the client's offer, and refuses it with an alert.
    pub(crate) fn refusing(error: IdentityError) -> Self {
        let state = server::AwaitClientInit::refusing(error.into());
        let state = State::Waiting(Waiting::ClientInit(Box::new(state)));
        Self { role: Role::Server, inbox: Inbox::default(), alerts: Alerts::clear(), state }
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Takes what the peer sent, appends what is for the peer to `out`. A client's first call sends its offer; `received`
    /// may then be empty. `now` decides about certificates.
    ///
    /// # Errors
    ///
    /// The first error is final: `out` ends with an alert for the peer if one is due, and every further call gets the same
    /// error. A call after the result is [`Error::Misuse`].
    pub fn step(
        &mut self,
        received: &[u8],
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<Step, Error> {
        let mut rest = received;
        match self.advance(&mut rest, now, out) {
            Ok(result) => Ok(Step { consumed: received.len() - rest.len(), result }),
            Err(error) => {
                self.end(error.clone(), error.alert(), out);
                Err(error)
            }
        }
    }

    /// Ends the handshake for a reason that lies with its driver: [`AlertCode::Timeout`], [`AlertCode::Overloaded`]. The
    /// peer's alert is appended to `out`. Does nothing when the handshake has ended already.
    pub fn fail(&mut self, code: AlertCode, out: &mut Vec<u8>) {
        if !matches!(self.state, State::Over(_)) {
            let error =
                Error::Limit { code, detail: "the handshake was canceled by its driver".into() };
            self.end(error, Some(code), out);
        }
    }

    fn advance(
        &mut self,
        rest: &mut &[u8],
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<Option<HandshakeResult>, Error> {
        loop {
            // What stays behind is true should a transition not come back with a new state: nothing follows it.
            let over = State::Over(Error::misuse("the handshake is over"));
            let waiting = match mem::replace(&mut self.state, over) {
                State::Over(error) => return Err(error),
                State::Start(start) => Waiting::ServerInit(Box::new(start.offer(now, out)?)),
                State::Waiting(waiting) => waiting,
            };
            let Some(mut frame) = self.inbox.fill(rest, waiting.expected(&self.alerts))? else {
                self.state = State::Waiting(waiting);
                return Ok(None);
            };
            if matches!(frame.kind(), FrameKind::Alert | FrameKind::SealedAlert) {
                // An alert is never answered, even if it is malformed.
                let error = self.take_alerts().receive(&mut frame);
                if let Waiting::ServerInit(state) = waiting {
                    state.refused(&error);
                }
                return Err(error);
            }
            let next = match waiting {
                Waiting::ServerInit(state) => {
                    let (agreed, alerts) = state.server_init(&frame)?;
                    self.alerts = alerts;
                    match agreed {
                        client::Agreed::Full(state) => Waiting::ServerFinished(Box::new(state)),
                        client::Agreed::Resumed(state) => {
                            Waiting::ShortServerFinished(Box::new(state))
                        }
                    }
                }
                Waiting::ServerFinished(state) => {
                    let (result, ticket) = state.server_finished(&mut frame, now, out)?;
                    return Ok(Some(self.with_first_frame(result, ticket)));
                }
                Waiting::ShortServerFinished(state) => {
                    let result = state.server_finished(&mut frame, now, out)?;
                    return Ok(Some(self.with_first_frame(result, None)));
                }
                Waiting::ClientInit(state) => {
                    let (answered, alerts) = state.client_init(&frame, now, out)?;
                    self.alerts = alerts;
                    match answered {
                        server::Answered::Full(state) => Waiting::ClientFinished(Box::new(state)),
                        server::Answered::Resumed(state) => {
                            Waiting::ShortClientFinished(Box::new(state))
                        }
                    }
                }
                Waiting::ClientFinished(state) => {
                    let result = state.client_finished(&mut frame, now, out)?;
                    self.take_alerts();
                    return Ok(Some(result));
                }
                Waiting::ShortClientFinished(state) => {
                    let result = state.client_finished(&mut frame)?;
                    self.take_alerts();
                    return Ok(Some(result));
                }
            };
            self.state = State::Waiting(next);
        }
    }

    /// The result of a client, with what may come in place of the first record.
    fn with_first_frame(
        &mut self,
        result: HandshakeResult,
        ticket: Option<client::AwaitedTicket>,
    ) -> HandshakeResult {
        let late_alert = self
            .take_alerts()
            .into_peers()
            .map(|key| Box::new(FirstFrame::new(key, ticket)) as Box<dyn LateAlert>);
        HandshakeResult { late_alert, ..result }
    }

    fn end(&mut self, error: Error, alert: Option<AlertCode>, out: &mut Vec<u8>) {
        self.state = State::Over(error);
        self.inbox = Inbox::default();
        let alerts = self.take_alerts();
        if let Some(code) = alert {
            alerts.send(code, out);
        }
    }

    fn take_alerts(&mut self) -> Alerts {
        mem::replace(&mut self.alerts, Alerts::spent())
    }
}

impl HandshakeSession for Handshake {
    fn poll_step(
        &mut self,
        _cx: &mut Context<'_>,
        received: &[u8],
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Step, Error>> {
        Poll::Ready(self.step(received, now, out))
    }

    fn fail(&mut self, code: AlertCode, out: &mut Vec<u8>) {
        self.fail(code, out);
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Start(_) => "Start",
            State::Waiting(Waiting::ServerInit(_)) => "AwaitServerInit",
            State::Waiting(Waiting::ServerFinished(_) | Waiting::ShortServerFinished(_)) => {
                "AwaitServerFinished"
            }
            State::Waiting(Waiting::ClientInit(_)) => "AwaitClientInit",
            State::Waiting(Waiting::ClientFinished(_) | Waiting::ShortClientFinished(_)) => {
                "AwaitClientFinished"
            }
            State::Over(_) => "Over",
        };
        f.debug_struct("Handshake")
            .field("role", &self.role)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
