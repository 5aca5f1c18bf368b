//! The server: `ClientInit` in, `ServerInit` and `ServerFinished` out, `ClientFinished` in.

mod resuming;

use std::time::SystemTime;

use super::alert::Alerts;
use super::client_init::ClientInit;
use super::config::{Config, name_span};
use super::extensions::{Extensions, Form, Offered};
use super::finished::{self, ClientParameters, Finished, ServerParameters};
use super::frame::{self, Frame};
use super::negotiate::{self, Agreed};
use super::padding;
use super::proof::{self, Proved};
use super::protocol::{FrameKind, Hash, Stage, Th1, Th4, VERSION};
use super::resumption::Yes;
use super::schedule::{DirectionSecret, MasterSecret, Secrets};
use super::server_init::ServerInit;
use crate::error::Error;
use crate::identity::SignatureScheme;
use crate::role::Role;
use crate::session::HandshakeResult;
use resuming::{Resuming, write_ticket};

pub(super) use resuming::AwaitShortFinished;

/// Nothing has been received.
pub(super) struct AwaitClientInit {
    /// Or why every client has to be refused. It is told when it has spoken, which it does first.
    config: Result<Box<Config>, Error>,
}

/// Both messages of the server are written.
pub(super) enum Answered {
    Full(AwaitClientFinished),
    Resumed(AwaitShortFinished),
}

/// How the server proves itself.
enum Proof {
    /// With its certificates.
    Signature(SignatureScheme),
    /// By what its ticket says, which the client has shown to know.
    Ticket(Resuming),
}

impl AwaitClientInit {
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        config.validate(Role::Server)?;
        Ok(Self { config: Ok(Box::new(config)) })
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
    ) -> Result<(Answered, Alerts), Error> {
        let start = out.len();
        self.answer(frame, now, out).inspect_err(|_| out.truncate(start))
    }

    fn answer(
        self,
        frame: &Frame,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<(Answered, Alerts), Error> {
        let config = self.config?;
        config.identity.check(now)?;
        let init = ClientInit::load(frame.body())?;
        let (chosen, agreed) = negotiate::choose(&config.options, &config.suites, &init)?;
        // In this order: ring's hash has bytes that nobody writes, which keep what the stack had there, and a ticket's secret and
        // agreeing leave secrets on the stack.
        let offer = init.extensions.resumption();
        let ticket = offer.and_then(|offer| offer.ticket);
        let (transcript, unbound) = resuming::transcript(frame.whole(), ticket.as_ref());
        let proof = match Resuming::judge(&config, ticket.zip(unbound), now)? {
            Some(resuming) => Proof::Ticket(resuming),
            None => {
                let scheme = proof::choose_scheme(&config.identity, &init.signature_schemes)?;
                Proof::Signature(scheme)
            }
        };
        let gives_ticket = offer.is_some_and(|offer| offer.want) && config.server_tickets.is_some();

        let share = config.ephemerals.key_share(chosen.suite)?;
        let start = out.len();
        let accepts_ticket = matches!(proof, Proof::Ticket(_)).then_some(Yes);
        let answer = ServerInit {
            version: VERSION,
            random: config.ephemerals.random()?,
            suite: chosen.suite.number(),
            share: share.public(),
            extensions: Extensions::ours(false, accepts_ticket),
        };
        frame::write(out, FrameKind::ServerInit, |out| answer.encode(out));
        let transcript = transcript.server_init(&out[start..]);
        let shared = share.agree(chosen.peer)?;
        let th1 = transcript.hash();
        let secrets = match &proof {
            Proof::Signature(_) => Secrets::new(&shared, &th1),
            Proof::Ticket(resuming) => Secrets::resumed(&resuming.salt, &shared, &th1),
        };
        let alerts = Alerts::sealed(Role::Server, &secrets);
        let keyed = Keyed { config, agreed, secrets, transcript, th1, gives_ticket };
        let answered = match proof {
            Proof::Signature(scheme) => Answered::Full(keyed.prove(scheme, out)?),
            Proof::Ticket(resuming) => Answered::Resumed(keyed.resume(resuming, now, out)),
        };
        Ok((answered, alerts))
    }
}

/// There are keys, and `ServerInit` is written.
struct Keyed {
    config: Box<Config>,
    agreed: Agreed,
    secrets: Secrets,
    transcript: Th1,
    th1: Hash,
    /// Or says that it has none to give.
    gives_ticket: bool,
}

impl Keyed {
    /// Writes the `ServerFinished` of a full handshake.
    fn prove(
        self,
        scheme: SignatureScheme,
        out: &mut Vec<u8>,
    ) -> Result<AwaitClientFinished, Error> {
        let parameters = self.parameters(self.gives_ticket.then_some(Yes));
        let identity = &*self.config.identity;
        let mut plaintext = Vec::new();
        finished::encode_statement(&mut plaintext, &parameters, identity.chain(), scheme.0);
        let transcript = self.transcript.server_statement(&plaintext);
        let signature = proof::sign(identity, scheme, Role::Server, &transcript.hash())?;
        let item = plaintext.len();
        finished::encode_signature(&mut plaintext, &signature);
        let transcript = transcript.server_signature(&plaintext[item..]);
        let server = self.secrets.server.expander();
        let mac = server.mac(&transcript.hash());
        plaintext.extend_from_slice(&mac);
        padding::encode(&mut plaintext);
        let transcript = transcript.server_mac(&mac);
        frame::write_sealed(out, FrameKind::ServerFinished, server.message_key(), &plaintext);

        let Self { config, agreed, secrets, gives_ticket, .. } = self;
        let Secrets { server: _, client, master } = secrets;
        Ok(AwaitClientFinished { config, agreed, client, master, transcript, gives_ticket })
    }

    fn parameters<'a, R: Form<'a>>(&'a self, resumption: Option<R>) -> ServerParameters<'a, R> {
        let Self { config, agreed, .. } = self;
        ServerParameters {
            record_protocol: agreed.record_protocol.name(),
            app_protocol: &agreed.application_protocol,
            rpc_versions: config.options.rpc_versions,
            max_frame_size: config.options.max_frame_size,
            signature_schemes: proof::offered_schemes(),
            extensions: Extensions::ours(agreed.close_notify, resumption),
        }
    }
}

/// The server has proved who it is; the client has not.
pub(super) struct AwaitClientFinished {
    config: Box<Config>,
    agreed: Agreed,
    client: DirectionSecret,
    master: MasterSecret,
    transcript: Th4,
    gives_ticket: bool,
}

impl AwaitClientFinished {
    /// Verifies and authorizes the client; only then is there a result, and a ticket if one was announced.
    pub(super) fn client_finished(
        self,
        frame: &mut Frame,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<HandshakeResult, Error> {
        let Self { config, agreed, client, master, transcript, gives_ticket } = self;
        let client = client.expander();
        let plaintext = frame.open(&client.message_key())?;
        let finished = Finished::<ClientParameters<'_>>::load(plaintext)?;

        let transcript = transcript.client_statement(finished.statement);
        let statement = transcript.hash();
        let transcript = transcript.client_signature(finished.signature_item);
        let proved = Proved { statement, signature: transcript.hash() };
        let th7 = transcript.client_mac(&finished.mac).hash();
        let master = master.expander();
        let judged = proof::verify(&config, Role::Client, &finished, &proved, &client, now)
            .and_then(|peer| {
                // The server offers no extensions.
                finished.parameters.extensions.check_answer(Offered::default())?;
                proof::authorize_by(&config, &peer, &finished.chain)?;
                Ok(peer)
            });
        let peer = judged.inspect_err(|_| {
            // The client is done: its log names the connection so.
            name_span(master.log_id(&th7));
        })?;
        let result = config.result(agreed, &peer, &master, &th7);
        if gives_ticket {
            write_ticket(&config, &peer, master.ticket(&th7), result.log_id, now, out);
        }
        Ok(result)
    }
}
