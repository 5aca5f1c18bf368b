//! The server: `ClientInit` in, `ServerInit` and `ServerFinished` out, `ClientFinished` in.

use std::time::SystemTime;

use super::alert::Alerts;
use super::client_init::ClientInit;
use super::config::{Config, name_span};
use super::extensions::Extensions;
use super::finished::{self, ClientParameters, Finished, ServerParameters};
use super::frame::{self, Frame};
use super::negotiate::{self, Agreed};
use super::proof::{self, Proved};
use super::protocol::{FrameKind, Stage, Th4, Transcript, VERSION};
use super::schedule::{DirectionSecret, MasterSecret, Secrets};
use super::server_init::ServerInit;
use crate::error::Error;
use crate::role::Role;
use crate::session::HandshakeResult;

/// Nothing has been received.
pub(super) struct AwaitClientInit {
    /// Or why every client has to be refused. It is told when it has spoken, which it does first.
    config: Result<Config, Error>,
}

impl AwaitClientInit {
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        config.validate(Role::Server)?;
        Ok(Self { config: Ok(config) })
    }

    /// A server that has no identity to prove.
    pub(super) fn refusing(error: Error) -> Self {
        Self { config: Err(error) }
    }

    /// Answers the offer with both messages of the server. On an error `out` is untouched: the client has no keys.
    pub(super) fn client_init(
        self,
        frame: &Frame,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<(AwaitClientFinished, Alerts), Error> {
        let config = self.config?;
        let identity = &*config.identity;
        identity.check(now)?;
        let init = ClientInit::load(frame.body())?;
        let (chosen, agreed) = negotiate::choose(&config.options, &config.suites, &init)?;
        let scheme = proof::choose_scheme(identity, &init.signature_schemes)?;

        let share = config.ephemerals.key_share(chosen.suite)?;
        let mut flight = Vec::new();
        let answer = ServerInit {
            version: VERSION,
            random: config.ephemerals.random()?,
            suite: chosen.suite.number(),
            share: share.public(),
            extensions: Extensions::default(),
        };
        frame::write(&mut flight, FrameKind::ServerInit, |out| answer.encode(out));
        // In this order: ring's hash has bytes that nobody writes, which keep what the stack had there, and agreeing leaves the
        // secret on the stack.
        let transcript = Transcript::new().client_init(frame.whole()).server_init(&flight);
        let shared = share.agree(chosen.peer)?;
        let secrets = Secrets::new(&shared, &transcript.hash());

        let parameters = ServerParameters {
            record_protocol: agreed.record_protocol.name(),
            app_protocol: &agreed.application_protocol,
            rpc_versions: config.options.rpc_versions,
            max_frame_size: config.options.max_frame_size,
            signature_schemes: proof::offered_schemes(),
            extensions: Extensions::ours(agreed.close_notify),
        };
        let mut plaintext = Vec::new();
        finished::encode_statement(&mut plaintext, &parameters, identity.chain(), scheme.0);
        let transcript = transcript.server_statement(&plaintext);
        let signature = proof::sign(identity, scheme, Role::Server, &transcript.hash())?;
        let item = plaintext.len();
        finished::encode_signature(&mut plaintext, &signature);
        let transcript = transcript.server_signature(&plaintext[item..]);
        let mac = secrets.server.mac(&transcript.hash());
        plaintext.extend_from_slice(&mac);
        finished::encode_padding(&mut plaintext);
        let transcript = transcript.server_mac(&mac);
        frame::write_sealed(
            &mut flight,
            FrameKind::ServerFinished,
            secrets.server.message_key(),
            &plaintext,
        );
        out.append(&mut flight);

        let alerts = Alerts::sealed(Role::Server, &secrets);
        let Secrets { server: _, client, master } = secrets;
        Ok((AwaitClientFinished { config, agreed, client, master, transcript }, alerts))
    }
}

/// The server has proved who it is; the client has not.
pub(super) struct AwaitClientFinished {
    config: Config,
    agreed: Agreed,
    client: DirectionSecret,
    master: MasterSecret,
    transcript: Th4,
}

impl AwaitClientFinished {
    /// Verifies and authorizes the client; only then is there a result.
    pub(super) fn client_finished(
        self,
        frame: &mut Frame,
        now: SystemTime,
    ) -> Result<HandshakeResult, Error> {
        let Self { config, agreed, client, master, transcript } = self;
        let plaintext = frame.open(&client.message_key())?;
        let finished = Finished::<ClientParameters<'_>>::load(plaintext)?;

        let transcript = transcript.client_statement(finished.statement);
        let statement = transcript.hash();
        let transcript = transcript.client_signature(finished.signature_item);
        let proved = Proved { statement, signature: transcript.hash() };
        let th7 = transcript.client_mac(&finished.mac).hash();
        let judged = proof::verify(&config, Role::Client, &finished, &proved, &client, now)
            .and_then(|peer| {
                // The server offers no extensions.
                finished.parameters.extensions.check_answer(false)?;
                proof::authorize(&config, &peer, &finished.chain)?;
                Ok(peer)
            });
        match judged {
            Ok(peer) => Ok(config.result(agreed, &peer, &master, &th7)),
            Err(error) => {
                // The client is done: its log names the connection so.
                name_span(master.log_id(&th7));
                Err(error)
            }
        }
    }
}
