//! The client: `ClientInit` out, `ServerInit` and `ServerFinished` in, `ClientFinished` out.

mod resuming;

use std::time::SystemTime;

use super::alert::Alerts;
use super::client_init::{ClientInit, OfferedShare};
use super::config::Config;
use super::extensions::{Extensions, Offered};
use super::finished::{self, ClientParameters, Finished, ServerParameters};
use super::frame::{self, Frame};
use super::key_share::KeyShare;
use super::negotiate;
use super::padding;
use super::proof::{self, Proved};
use super::protocol::{FrameKind, Stage, Th0, Th1, Transcript, VERSION};
use super::schedule::Secrets;
use super::server_init::ServerInit;
use crate::alert::AlertCode;
use crate::error::Error;
use crate::role::Role;
use crate::session::HandshakeResult;
use resuming::{OnOffer, Wish};

pub(super) use resuming::{AwaitShortFinished, AwaitedTicket};

/// Nothing has been sent.
pub(super) struct Start {
    /// In a box, since it is handed from state to state.
    config: Box<Config>,
}

impl Start {
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        config.validate(Role::Client)?;
        Ok(Self { config: Box::new(config) })
    }

    /// Sends the offer.
    pub(super) fn offer(
        self,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<AwaitServerInit, Error> {
        let Self { config } = self;
        config.identity.check(now)?;
        // First, as on the server: what follows leaves secrets on the stack.
        let transcript = Transcript::new();
        let options = &config.options;
        let shares = config
            .suites
            .iter()
            .map(|&suite| config.ephemerals.key_share(suite))
            .collect::<Result<Vec<_>, _>>()?;
        let wish = Wish::of(&config);
        let ticket = wish.as_ref().and_then(|wish| wish.take(&config, now));
        let init = ClientInit {
            versions: vec![VERSION],
            random: config.ephemerals.random()?,
            suites: config.suites.iter().map(|suite| suite.number()).collect(),
            shares: shares
                .iter()
                .map(|share| OfferedShare { suite: share.suite().number(), key: share.public() })
                .collect(),
            signature_schemes: proof::offered_schemes(),
            record_protocols: options.record_protocols.iter().map(|name| name.name()).collect(),
            app_protocols: options.application_protocols.iter().map(String::as_str).collect(),
            rpc_versions: options.rpc_versions,
            max_frame_size: options.max_frame_size,
            extensions: Extensions::ours(
                options.close_notify,
                wish.is_some().then(|| resuming::extension(ticket.as_ref())),
            ),
        };
        let start = out.len();
        frame::write(out, FrameKind::ClientInit, |out| init.encode(out));
        let (ticket, transcript) = match ticket {
            Some(ticket) => {
                let (ticket, transcript) = ticket.bind(transcript, &mut out[start..]);
                (Some(ticket), transcript)
            }
            None => (None, transcript.client_init(&out[start..])),
        };
        Ok(AwaitServerInit { config, shares, transcript, wish, ticket })
    }
}

/// The offer was sent; there are no keys.
pub(super) struct AwaitServerInit {
    config: Box<Config>,
    shares: Vec<Box<dyn KeyShare>>,
    transcript: Th0,
    wish: Option<Wish>,
    ticket: Option<OnOffer>,
}

/// There are keys, and it is known how the server will prove itself.
pub(super) enum Agreed {
    Full(AwaitServerFinished),
    Resumed(AwaitShortFinished),
}

impl AwaitServerInit {
    /// Agrees on keys. Everything that may go wrong does so before there are any.
    pub(super) fn server_init(self, frame: &Frame) -> Result<(Agreed, Alerts), Error> {
        let Self { config, shares, transcript, wish, ticket } = self;
        let ticket = ticket.map(OnOffer::used);
        let init = ServerInit::load(frame.body())?;
        if init.version != VERSION {
            return Err(Error::illegal(format!("version {:#06x} was not offered", init.version)));
        }
        // Nothing else that a client offers is answered in plaintext.
        init.extensions
            .check_answer(Offered { close_notify: false, resumption: ticket.is_some() })?;
        let share = shares
            .into_iter()
            .find(|share| share.suite().number() == init.suite)
            .ok_or_else(|| Error::illegal(format!("suite {:#06x} was not offered", init.suite)))?;
        let shared = share.agree(init.share)?;
        let transcript = transcript.server_init(frame.whole());
        let th1 = transcript.hash();
        let accepted = init.extensions.resumption().is_some();
        Ok(match (ticket, wish) {
            (Some(ticket), Some(wish)) if accepted => {
                let secrets = Secrets::resumed(ticket.salt(), &shared, &th1);
                let alerts = Alerts::sealed(Role::Client, &secrets);
                let state =
                    AwaitShortFinished::new(config, secrets, (transcript, th1), wish, ticket);
                (Agreed::Resumed(state), alerts)
            }
            (_, wish) => {
                let secrets = Secrets::new(&shared, &th1);
                let alerts = Alerts::sealed(Role::Client, &secrets);
                (Agreed::Full(AwaitServerFinished { config, secrets, transcript, wish }), alerts)
            }
        })
    }

    /// The server has ended the handshake. Its reason decides whether the ticket was of no use or may be offered once more.
    pub(super) fn refused(self, error: &Error) {
        let may_return =
            matches!(error, Error::Alert { code: AlertCode::Timeout | AlertCode::Overloaded, .. });
        if !may_return {
            self.ticket.map(OnOffer::used);
        }
    }
}

/// The keys are derived; neither side has proved its identity.
pub(super) struct AwaitServerFinished {
    config: Box<Config>,
    secrets: Secrets,
    transcript: Th1,
    wish: Option<Wish>,
}

impl AwaitServerFinished {
    /// Verifies the server, and only then says who this side is.
    pub(super) fn server_finished(
        self,
        frame: &mut Frame,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<(HandshakeResult, Option<AwaitedTicket>), Error> {
        let Self { config, secrets, transcript, wish } = self;
        let server = secrets.server.expander();
        let plaintext = frame.open(&server.message_key())?;
        let finished = Finished::<ServerParameters<'_>>::load(plaintext)?;

        let transcript = transcript.server_statement(finished.statement);
        let statement = transcript.hash();
        let transcript = transcript.server_signature(finished.signature_item);
        let proved = Proved { statement, signature: transcript.hash() };
        let peer = proof::verify(&config, Role::Server, &finished, &proved, &server, now)?;
        let transcript = transcript.server_mac(&finished.mac);
        let agreed = negotiate::check(&config.options, wish.is_some(), &finished.parameters)?;
        proof::authorize_by(&config, &peer, &finished.chain)?;

        let identity = &*config.identity;
        let scheme = proof::choose_scheme(identity, &finished.parameters.signature_schemes)?;
        let mut plaintext = Vec::new();
        finished::encode_statement(
            &mut plaintext,
            &ClientParameters::default(),
            identity.chain(),
            scheme.0,
        );
        let transcript = transcript.client_statement(&plaintext);
        let signature = proof::sign(identity, scheme, Role::Client, &transcript.hash())?;
        let item = plaintext.len();
        finished::encode_signature(&mut plaintext, &signature);
        let transcript = transcript.client_signature(&plaintext[item..]);
        let client = secrets.client.expander();
        let mac = client.mac(&transcript.hash());
        plaintext.extend_from_slice(&mac);
        padding::encode(&mut plaintext);
        let th7 = transcript.client_mac(&mac).hash();

        frame::write_sealed(out, FrameKind::ClientFinished, client.message_key(), &plaintext);
        let master = secrets.master.expander();
        let result = config.result(agreed, &peer, &master, &th7);
        let announced = finished.parameters.extensions.resumption().is_some();
        let ticket = wish
            .filter(|_| announced)
            .map(|wish| wish.await_ticket(&config, &peer, master.ticket(&th7), result.log_id, now));
        Ok((result, ticket))
    }
}
