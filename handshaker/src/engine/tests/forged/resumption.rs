//! Peers that resume, follow the protocol up to one point, and break it there.

use std::sync::Arc;
use std::time::Duration;

use super::{Forgery, ForgingClient, frame_of, honest, offer, told};
use crate::alert::AlertCode;
use crate::engine::client_init::ClientInit;
use crate::engine::extensions::{Extensions, Form};
use crate::engine::finished::{
    ClientParameters, Finished, Parameters, ServerParameters, ShortFinished,
};
use crate::engine::frame::{self, Header};
use crate::engine::padding;
use crate::engine::protocol::{FrameKind, HASH_LEN, Hash, Stage, Th1, Transcript};
use crate::engine::resumption::{NewTicket, Offer, OfferedTicket, Yes};
use crate::engine::schedule::{EarlySecret, Secrets};
use crate::engine::server_init::ServerInit;
use crate::engine::tests::{config, now, step};
use crate::engine::{
    ClientTickets, Config, Ephemerals, Handshake, ServerTickets, Suite, SystemEphemerals,
};
use crate::identity::{PeerIdentity, seconds};
use crate::resumption::{CacheKey, Psk, Scope, TicketCache, TicketKeys, TicketState};
use crate::role::Role;
use crate::session::{HandshakeOptions, HandshakeResult, RpcVersions};

const TARGET: &str = "server.test:443";
const PSK: [u8; HASH_LEN] = [0x77; HASH_LEN];
/// To a client, tickets are opaque.
const TICKET: &[u8] = b"a ticket of any form";
const SERVER: &str = "spiffe://test.example/server";
const CLIENT: &str = "spiffe://test.example/client";

fn state(peer: &str) -> TicketState {
    let config = config("server", HandshakeOptions::default());
    let end = now() + Duration::from_secs(86_400);
    TicketState {
        psk: Psk::written(|psk| *psk = PSK),
        auth_time: seconds(now()),
        not_after: seconds(now()) + 3_600,
        trust: config.identity.ticket_trust("test.example").unwrap(),
        log_id: [0; 16],
        peer: Arc::new(PeerIdentity::from_certificates(peer.parse().unwrap(), end)),
    }
}

/// An honest client; it has a ticket of the server's if it is to have one.
fn client(cache: &Arc<TicketCache>, has_ticket: bool) -> Handshake {
    if has_ticket {
        let (own, partition) = (CLIENT.parse().unwrap(), 0);
        let key = CacheKey { own, target: TARGET.into(), partition };
        cache.insert(&key, TICKET, 3_600, state(SERVER), now());
    }
    let target_name = Some(TARGET.to_owned());
    let options = HandshakeOptions { target_name, ..HandshakeOptions::default() };
    let client_tickets = Some(ClientTickets { cache: Arc::clone(cache), partition: 0 });
    Handshake::new(Role::Client, Config { client_tickets, ..config("client", options) }).unwrap()
}

/// How a server breaks it.
struct Breaking {
    accepts: bool,
    /// Whether it has the ticket's secret.
    knows: bool,
    /// Whether its last message is a short one.
    short: bool,
    new: Option<NewTicket<'static>>,
    mac: fn(&mut [u8; HASH_LEN]),
    /// Of what the MAC is made: usually TH3.
    hashed: fn(&Th1, Hash) -> Hash,
}

impl Breaking {
    fn nothing() -> Self {
        Self {
            accepts: true,
            knows: true,
            short: true,
            new: Some(NewTicket { lifetime: 600, ticket: b"the next one" }),
            mac: |_| {},
            hashed: |_, th3| th3,
        }
    }

    fn answer(&self, offer: &[u8]) -> (Vec<u8>, Vec<u8>, Secrets) {
        let offer_frame = frame_of(offer);
        let offered = ClientInit::load(offer_frame.body()).unwrap();
        let share = SystemEphemerals.key_share(Suite::X25519).unwrap();
        let public = share.public().to_vec();
        let init = ServerInit {
            version: 1,
            random: [3; 32],
            suite: 1,
            share: &public,
            extensions: Extensions::ours(false, self.accepts.then_some(Yes)),
        };
        let mut first = Vec::new();
        frame::write(&mut first, FrameKind::ServerInit, |out| init.encode(out));
        let shared = share.agree(offered.shares[0].key).unwrap();
        let th1 = Transcript::new().client_init(offer_frame.whole()).server_init(&first);
        let secrets = match (self.accepts, self.knows) {
            (true, true) => {
                Secrets::resumed(&EarlySecret::of(&PSK).into_salt(), &shared, &th1.hash())
            }
            (true, false) => {
                Secrets::resumed(&EarlySecret::of(&[0; 32]).into_salt(), &shared, &th1.hash())
            }
            (false, _) => Secrets::new(&shared, &th1.hash()),
        };
        if !self.short {
            let parameters = parameters::<Yes>(None);
            let mut before = Some(th1);
            let mut after = None;
            let second = Forgery::none().seal(Role::Server, parameters, &secrets, |item| {
                if let Some(th1) = before.take() {
                    let th2 = th1.server_statement(item);
                    after.insert(th2).hash()
                } else {
                    after.take().unwrap().server_signature(item).hash()
                }
            });
            return (first, second, secrets);
        }
        let mut plaintext = Vec::new();
        parameters(self.new).encode(&mut plaintext);
        let before = Transcript::new().client_init(offer_frame.whole()).server_init(&first);
        let th3 = th1.server_statement(&plaintext).no_server_signature();
        let mut mac = secrets.server.expander().mac(&(self.hashed)(&before, th3.hash()));
        (self.mac)(&mut mac);
        plaintext.extend_from_slice(&mac);
        padding::encode(&mut plaintext);
        let mut second = Vec::new();
        let key = secrets.server.expander().message_key();
        frame::write_sealed(&mut second, FrameKind::ServerFinished, key, &plaintext);
        (first, second, secrets)
    }

    /// An honest client's judgment.
    fn judged(&self, has_ticket: bool) -> Result<HandshakeResult, AlertCode> {
        let cache = TicketCache::new();
        let mut client = client(&cache, has_ticket);
        let (offer, _) = step(&mut client, &[]);
        let (first, second, secrets) = self.answer(&offer);
        let (out, end) = step(&mut client, &first);
        if let Err(error) = end {
            let code = error.alert().unwrap();
            assert_eq!(told(Role::Server, None, &out), (code, false));
            return Err(code);
        }
        let (out, end) = step(&mut client, &second);
        assert!(has_ticket || cache.is_empty());
        end.map(Option::unwrap).map_err(|error| {
            let code = error.alert().unwrap();
            // A server that does not know the secret cannot read what it is told.
            if self.knows {
                assert_eq!(told(Role::Server, Some(&secrets), &out), (code, true));
            }
            assert!(cache.is_empty(), "a broken handshake leaves no ticket");
            code
        })
    }

    fn refused(&self, has_ticket: bool) -> AlertCode {
        self.judged(has_ticket).map(|_| ()).unwrap_err()
    }
}

fn parameters<'a, R: Form<'a>>(resumption: Option<R>) -> ServerParameters<'a, R> {
    ServerParameters {
        record_protocol: "ALTSRP_GCM_AES128_REKEY",
        app_protocol: "grpc",
        rpc_versions: RpcVersions::GRPC,
        max_frame_size: 16_384,
        signature_schemes: vec![0x0807],
        extensions: Extensions::ours(false, resumption),
    }
}

#[test]
fn without_a_fault_it_resumes() {
    let result = Breaking::nothing().judged(true).unwrap();
    assert_eq!(result.resumed, Some(now()));
    assert_eq!(result.peer.name(), SERVER);
}

#[test]
fn a_server_that_breaks_it() {
    use AlertCode::{DecodeError, DecryptError, IllegalParameter};
    let nothing = Breaking::nothing;
    assert_eq!(nothing().refused(false), IllegalParameter, "accepts a ticket that nobody offered");
    assert_eq!(Breaking { knows: false, ..nothing() }.refused(true), DecryptError);
    // The form of the last message is the one that ServerInit announced.
    assert_eq!(Breaking { short: false, ..nothing() }.refused(true), DecodeError);
    assert_eq!(Breaking { accepts: false, ..nothing() }.refused(true), DecodeError);
    assert_eq!(Breaking { mac: |mac| mac[0] ^= 1, ..nothing() }.refused(true), DecryptError);
    let over_th1 = Breaking { hashed: |th1, _| th1.hash(), ..nothing() };
    assert_eq!(over_th1.refused(true), DecryptError);
    for (lifetime, ticket, code) in [
        (0, &b"t"[..], IllegalParameter),
        (60, b"", IllegalParameter),
        (86_401, b"t", IllegalParameter),
        (60, &[1; 1_025], DecodeError),
    ] {
        let new = Some(NewTicket { lifetime, ticket });
        assert_eq!(Breaking { new, ..nothing() }.refused(true), code, "{lifetime}, {ticket:?}");
    }
    // None this time, and no answer at all, are both fine.
    for new in [Some(NewTicket::NONE), None] {
        assert!(Breaking { new, ..nothing() }.judged(true).is_ok());
    }
}

type Short<'a> = ShortFinished<'a, ServerParameters<'a, NewTicket<'a>>>;

/// How a client breaks it.
struct Offering {
    /// Whom the ticket is of.
    owner: &'static str,
    ticket: fn(&mut Vec<u8>),
    /// What it believes the secret to be.
    psk: [u8; HASH_LEN],
    want: bool,
    /// Whether its last message is a short one.
    short: bool,
    mac: fn(&mut [u8; HASH_LEN]),
}

impl Offering {
    fn nothing() -> Self {
        let (owner, psk) = (CLIENT, PSK);
        Self { owner, ticket: |_| {}, psk, want: true, short: true, mac: |_| {} }
    }

    /// An honest server's judgment, and whether it went on as a full handshake.
    fn judged(&self) -> (Result<HandshakeResult, AlertCode>, bool) {
        let keys = TicketKeys::generate_at(Duration::from_secs(3_600), now()).unwrap();
        let scope = Scope { server: &SERVER.parse().unwrap(), realm: b"" };
        let mut ticket = keys.seal(&scope, &state(self.owner), now()).unwrap().ticket;
        (self.ticket)(&mut ticket);
        let tickets = ServerTickets { keys, realm: Arc::default(), require_fresh: None };
        let server_tickets = Some(tickets);
        let config = Config { server_tickets, ..config("server", HandshakeOptions::default()) };
        let mut server = Handshake::new(Role::Server, config).unwrap();

        let share = SystemEphemerals.key_share(Suite::X25519).unwrap();
        let early = EarlySecret::of(&self.psk);
        let with_binder = |binder: &[u8; HASH_LEN]| {
            let ticket = Some(OfferedTicket { ticket: &ticket, binder });
            let mut out = Vec::new();
            let whole = offer(|_| {}, share.public());
            let frame = frame_of(&whole);
            let mut init = ClientInit::load(frame.body()).unwrap();
            init.extensions = Extensions::ours(false, Some(Offer { want: self.want, ticket }));
            frame::write(&mut out, FrameKind::ClientInit, |out| init.encode(out));
            out
        };
        let hash = ring::digest::digest(&ring::digest::SHA256, &with_binder(&[0; HASH_LEN]));
        let sent = with_binder(&early.binder(hash.as_ref().try_into().unwrap()));
        let (answer, end) = step(&mut server, &sent);
        if let Err(error) = end {
            let code = error.alert().unwrap();
            assert_eq!(told(Role::Client, None, &answer), (code, false));
            return (Err(code), false);
        }
        let header = Header::load(*answer.first_chunk().unwrap()).unwrap();
        let (first, second) = answer.split_at(header.frame_len);
        let (first, mut second) = (frame_of(first), frame_of(second));
        let init = ServerInit::load(first.body()).unwrap();
        if init.extensions.resumption().is_none() {
            return (Err(AlertCode::HandshakeFailure), true);
        }
        let shared = share.agree(init.share).unwrap();
        let th1 = Transcript::new().client_init(&sent).server_init(first.whole());
        let secrets = Secrets::resumed(&early.into_salt(), &shared, &th1.hash());
        let plaintext = second.open(&secrets.server.expander().message_key()).unwrap();
        let finished = Short::load(plaintext).unwrap();
        assert_eq!(finished.parameters.extensions.resumption().is_some(), self.want);
        let th3 = th1.server_statement(finished.statement).no_server_signature();
        secrets.server.expander().verify_mac(&th3.hash(), &finished.mac).unwrap();
        let th4 = th3.server_mac(&finished.mac);

        let finish = if self.short {
            let mut plaintext = Vec::new();
            ClientParameters::default().encode(&mut plaintext);
            let th6 = th4.client_statement(&plaintext).no_client_signature();
            let mut mac = secrets.client.expander().mac(&th6.hash());
            (self.mac)(&mut mac);
            plaintext.extend_from_slice(&mac);
            padding::encode(&mut plaintext);
            let mut out = Vec::new();
            let key = secrets.client.expander().message_key();
            frame::write_sealed(&mut out, FrameKind::ClientFinished, key, &plaintext);
            out
        } else {
            let mut before = Some(th4);
            let mut after = None;
            let own = ClientParameters::default();
            Forgery::none().seal(Role::Client, own, &secrets, |item| {
                if let Some(th4) = before.take() {
                    let th5 = th4.client_statement(item);
                    after.insert(th5).hash()
                } else {
                    after.take().unwrap().client_signature(item).hash()
                }
            })
        };
        let (out, end) = step(&mut server, &finish);
        let end = end.map(Option::unwrap).map_err(|error| {
            let code = error.alert().unwrap();
            assert_eq!(told(Role::Client, Some(&secrets), &out), (code, true));
            code
        });
        (end, false)
    }
}

#[test]
fn a_client_that_breaks_it() {
    let nothing = Offering::nothing;
    let refused = |offering: Offering| offering.judged().0.map(|_| ()).unwrap_err();
    for want in [true, false] {
        let result = Offering { want, ..nothing() }.judged().0.unwrap();
        assert_eq!((result.peer.name(), result.resumed), (CLIENT, Some(now())));
    }
    // Whoever has the ticket alone is nobody.
    assert_eq!(refused(Offering { psk: [0; 32], ..nothing() }), AlertCode::DecryptError);
    assert_eq!(refused(Offering { mac: |mac| mac[31] ^= 1, ..nothing() }), AlertCode::DecryptError);
    assert_eq!(refused(Offering { short: false, ..nothing() }), AlertCode::DecodeError);
    // The name is the one in the ticket, not one that the client states.
    let other = Offering { owner: "spiffe://test.example/deep", ..nothing() };
    assert_eq!(other.judged().0.unwrap().peer.name(), "spiffe://test.example/deep");
}

/// What is no ticket of this server's is passed over, whatever length it has.
#[test]
fn junk_in_place_of_a_ticket() {
    let full = |ticket| {
        let (_, full) = Offering { ticket, ..Offering::nothing() }.judged();
        assert!(full);
    };
    full(|ticket| ticket.truncate(1));
    full(|ticket| ticket.truncate(24));
    full(|ticket| ticket.truncate(40));
    full(|ticket| ticket.truncate(41));
    full(|ticket| ticket.truncate(ticket.len() - 1));
    full(|ticket| ticket.push(0));
    full(|ticket| ticket.resize(1_024, 0));
    full(|ticket| ticket[0] = 2);
    full(|ticket| ticket[1..9].fill(0));
    full(|ticket| ticket.fill(0));
    let policy = Offering { owner: "spiffe://other.example/client", ..Offering::nothing() };
    assert!(policy.judged().1, "a domain that nobody vouches for");
    let longer = Offering { ticket: |ticket| ticket.resize(1_025, 0), ..Offering::nothing() };
    assert_eq!(longer.judged().0.map(|_| ()), Err(AlertCode::DecodeError));
}

/// A client whose last message is a short one, in a full handshake. (A server that does this is in the table above.)
#[test]
fn short_messages_in_a_full_handshake() {
    let client = ForgingClient::new();
    let mut server = honest(Role::Server, HandshakeOptions::default());
    let (answer, _) = step(&mut server, &client.offer);
    let header = Header::load(*answer.first_chunk().unwrap()).unwrap();
    let (first, second) = answer.split_at(header.frame_len);
    let (first, mut second) = (frame_of(first), frame_of(second));
    let init = ServerInit::load(first.body()).unwrap();
    let shared = client.share.agree(init.share).unwrap();
    let th1 = client.transcript.server_init(first.whole());
    let secrets = Secrets::new(&shared, &th1.hash());
    let plaintext = second.open(&secrets.server.expander().message_key()).unwrap();
    let finished = Finished::<ServerParameters<'_>>::load(plaintext).unwrap();
    let th4 = th1
        .server_statement(finished.statement)
        .server_signature(finished.signature_item)
        .server_mac(&finished.mac);
    let mut plaintext = Vec::new();
    ClientParameters::default().encode(&mut plaintext);
    let th6 = th4.client_statement(&plaintext).no_client_signature();
    plaintext.extend_from_slice(&secrets.client.expander().mac(&th6.hash()));
    padding::encode(&mut plaintext);
    let mut out = Vec::new();
    let key = secrets.client.expander().message_key();
    frame::write_sealed(&mut out, FrameKind::ClientFinished, key, &plaintext);
    let (_, end) = step(&mut server, &out);
    assert_eq!(end.unwrap_err().alert(), Some(AlertCode::DecodeError));
}
