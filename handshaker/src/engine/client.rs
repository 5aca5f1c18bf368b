//! The client: `ClientInit` out, `ServerInit` and `ServerFinished` in, `ClientFinished` out.

use std::time::SystemTime;

use super::alert::Alerts;
use super::client_init::{ClientInit, OfferedShare};
use super::config::Config;
use super::extensions::Extensions;
use super::finished::{self, ClientParameters, Finished, ServerParameters};
use super::frame::{self, Frame};
use super::key_share::KeyShare;
use super::negotiate;
use super::proof::{self, Proved};
use super::protocol::{FrameKind, Stage, Th0, Th1, Transcript, VERSION};
use super::schedule::Secrets;
use super::server_init::ServerInit;
use crate::error::Error;
use crate::role::Role;
use crate::session::HandshakeResult;

/// Nothing has been sent.
pub(super) struct Start {
    config: Config,
}

impl Start {
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        config.validate(Role::Client)?;
        Ok(Self { config })
    }

    /// Sends the offer.
    pub(super) fn offer(
        self,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<AwaitServerInit, Error> {
        let Self { config } = self;
        config.identity.check(now)?;
        let options = &config.options;
        let shares = config
            .suites
            .iter()
            .map(|&suite| config.ephemerals.key_share(suite))
            .collect::<Result<Vec<_>, _>>()?;
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
            extensions: Extensions::ours(options.close_notify),
        };
        let start = out.len();
        frame::write(out, FrameKind::ClientInit, |out| init.encode(out));
        let transcript = Transcript::new().client_init(&out[start..]);
        Ok(AwaitServerInit { config, shares, transcript })
    }
}

/// The offer was sent; there are no keys.
pub(super) struct AwaitServerInit {
    config: Config,
    shares: Vec<Box<dyn KeyShare>>,
    transcript: Th0,
}

impl AwaitServerInit {
    /// Agrees on keys. Everything that may go wrong does so before there are any.
    pub(super) fn server_init(self, frame: &Frame) -> Result<(AwaitServerFinished, Alerts), Error> {
        let Self { config, shares, transcript } = self;
        let init = ServerInit::load(frame.body())?;
        if init.version != VERSION {
            return Err(Error::illegal(format!("version {:#06x} was not offered", init.version)));
        }
        // Nothing that a client offers is answered in plaintext.
        init.extensions.check_answer(false)?;
        let share = shares
            .into_iter()
            .find(|share| share.suite().number() == init.suite)
            .ok_or_else(|| Error::illegal(format!("suite {:#06x} was not offered", init.suite)))?;
        let shared = share.agree(init.share)?;
        let transcript = transcript.server_init(frame.whole());
        let secrets = Secrets::new(&shared, &transcript.hash());
        let alerts = Alerts::sealed(Role::Client, &secrets);
        Ok((AwaitServerFinished { config, secrets, transcript }, alerts))
    }
}

/// The keys are derived; neither side has proved its identity.
pub(super) struct AwaitServerFinished {
    config: Config,
    secrets: Secrets,
    transcript: Th1,
}

impl AwaitServerFinished {
    /// Verifies the server, and only then says who this side is.
    pub(super) fn server_finished(
        self,
        frame: &mut Frame,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<HandshakeResult, Error> {
        let Self { config, secrets, transcript } = self;
        let plaintext = frame.open(&secrets.server.message_key())?;
        let finished = Finished::<ServerParameters<'_>>::load(plaintext)?;

        let transcript = transcript.server_statement(finished.statement);
        let statement = transcript.hash();
        let transcript = transcript.server_signature(finished.signature_item);
        let proved = Proved { statement, signature: transcript.hash() };
        let peer = proof::verify(&config, Role::Server, &finished, &proved, &secrets.server, now)?;
        let transcript = transcript.server_mac(&finished.mac);
        let agreed = negotiate::check(&config.options, &finished.parameters)?;
        proof::authorize(&config, &peer, &finished.chain)?;

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
        let mac = secrets.client.mac(&transcript.hash());
        plaintext.extend_from_slice(&mac);
        finished::encode_padding(&mut plaintext);
        let th7 = transcript.client_mac(&mac).hash();

        frame::write_sealed(
            out,
            FrameKind::ClientFinished,
            secrets.client.message_key(),
            &plaintext,
        );
        Ok(config.result(agreed, &peer, &secrets.master, &th7))
    }
}
