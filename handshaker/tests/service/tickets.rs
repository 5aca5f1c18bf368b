//! Resumption for callers: tickets that a service gives in their name, and those that it asks for and keeps.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::identity::Policy;
use alts_handshaker::resumption::{TicketCache, TicketKeys};
use alts_handshaker::service::{Caller, HandshakerService, HandshakerServiceBuilder};
use alts_handshaker::{
    AlertCode, Error, Handshake, HandshakeOptions, HandshakeSession, Handshaker, LocalHandshaker,
    LocalHandshakerBuilder, RemoteHandshaker, Role,
};
use tonic::Code;
use tonic::transport::Channel;

use crate::remote::{start, step};
use crate::support::{
    CART, Call, STOCK, Served, assert_status, client, client_start, identity, next, server,
    server_start,
};

const RECORD: &[u8] = b"\x0e\0\0\0\x06\0\0\0a record..";

/// A service for the cart, and peers of it that do their handshakes themselves, as the stock; with what each needs to resume.
struct Shop {
    authority: DevCa,
    keys: Arc<TicketKeys>,
    cache: Arc<TicketCache>,
}

impl Shop {
    fn new() -> Self {
        let authority = DevCa::new(SystemTime::now()).unwrap();
        let keys = TicketKeys::generate(Duration::from_secs(3_600)).unwrap();
        Self { authority, keys, cache: TicketCache::new() }
    }

    fn service(&self) -> HandshakerServiceBuilder {
        HandshakerService::builder()
            .identity(identity(&self.authority, CART))
            .server_policy(Policy::own_trust_domain())
    }

    fn local(&self) -> LocalHandshakerBuilder {
        LocalHandshaker::builder(identity(&self.authority, STOCK))
            .server_policy(Policy::own_trust_domain())
    }

    /// A server that gives tickets.
    fn server(&self) -> Handshake {
        let server = self.local().ticket_keys(Arc::clone(&self.keys)).build();
        server.handshake(Role::Server, &HandshakeOptions::default()).unwrap()
    }

    /// A client that wants them.
    fn client(&self) -> Handshake {
        let client = self.local().ticket_cache(Arc::clone(&self.cache)).build();
        client.handshake(Role::Client, &named()).unwrap()
    }
}

fn named() -> HandshakeOptions {
    let mut options = HandshakeOptions::default();
    options.target_name = Some("stock:443".to_owned());
    options
}

fn advance(handshake: &mut Handshake, received: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    handshake.step(received, SystemTime::now(), &mut out).unwrap();
    out
}

#[tokio::test]
async fn a_caller_that_is_a_server_gives_tickets_and_resumes() {
    let shop = Shop::new();
    let served = Served::new(shop.service().ticket_keys(Arc::clone(&shop.keys))).await;
    for round in 0..3 {
        let mut at_client = shop.client();
        let offer = advance(&mut at_client, &[]);
        let mut at_server = served.open(server(server_start(&offer))).await.unwrap();
        let answer = at_server.answer().await.unwrap().out_frames;
        let mut finish = Vec::new();
        let now = SystemTime::now();
        let result = at_client.step(&answer, now, &mut finish).unwrap().result.unwrap();
        let last = at_server.ask(next(&[&finish, RECORD].concat())).await.unwrap();
        at_server.assert_over().await;
        assert_eq!(last.bytes_consumed as usize, finish.len());
        assert_eq!(last.result.unwrap().key_data, result.key_data.as_bytes());
        assert_eq!(result.resumed.is_some(), round > 0);
        // A ticket of its own comes behind a full handshake alone.
        if round == 0 {
            assert_eq!(last.out_frames[4..8], [0x45, 0, 0, 0]);
            result.late_alert.unwrap().take_ticket(&last.out_frames).unwrap();
        } else {
            assert!(last.out_frames.is_empty());
        }
        assert_eq!(shop.cache.len(), 1, "the next ticket");
    }
    let stats = shop.keys.stats();
    assert_eq!((stats.issued, stats.offered, stats.accepted), (3, 2, 2));
}

/// A handshake of a caller that is a client with a server that gives tickets: what the server sends behind it, and the call, unless it
/// is over.
async fn up_to_the_ticket(channel: &Channel, server: &mut Handshake) -> (Vec<u8>, Option<Call>) {
    let mut call = Call::open(channel, Some(client(client_start()))).await.unwrap();
    let offer = call.answer().await.unwrap().out_frames;
    let answer = advance(server, &offer);
    let finish = call.ask(next(&answer)).await.unwrap();
    assert_eq!(finish.bytes_consumed as usize, answer.len());
    let ticket = advance(server, &finish.out_frames);
    if finish.result.is_some() {
        call.assert_over().await;
        return (ticket, None);
    }
    (ticket, Some(call))
}

#[tokio::test]
async fn the_result_of_a_client_waits_for_the_ticket() {
    let shop = Shop::new();
    let served = Served::new(shop.service().wait_for_tickets(Arc::clone(&shop.cache))).await;
    let ticket_len = up_to_the_ticket(&served.channel, &mut shop.server()).await.0.len();
    // With the first record in the same segment, cut anywhere, and one byte at a time.
    for piece in [usize::MAX, 1, 7, 8, 9, ticket_len - 1, ticket_len, ticket_len + 1] {
        shop.cache.clear();
        let (ticket, call) = up_to_the_ticket(&served.channel, &mut shop.server()).await;
        let mut call = call.expect("the result waits");
        assert_eq!(ticket.len(), ticket_len);
        let stream = [&ticket, RECORD].concat();
        let (mut taken, mut ended) = (0, false);
        for part in stream.chunks(piece.min(stream.len())) {
            assert!(shop.cache.is_empty());
            let response = call.ask(next(part)).await.unwrap();
            assert!(response.out_frames.is_empty());
            taken += response.bytes_consumed as usize;
            ended = response.result.is_some();
            if ended {
                break;
            }
            assert_eq!(response.bytes_consumed as usize, part.len());
        }
        call.assert_over().await;
        assert!(ended && taken == ticket_len, "{piece}: {taken} of {ticket_len}");
        assert_eq!(shop.cache.len(), 1);
        // A resumed handshake has its ticket already, and waits for nothing.
        let (more, call) = up_to_the_ticket(&served.channel, &mut shop.server()).await;
        assert!(more.is_empty() && call.is_none());
        assert_eq!(shop.cache.len(), 1);
    }
    assert_eq!(shop.keys.stats().accepted, 8);
}

#[tokio::test]
async fn who_gives_no_tickets_is_not_waited_for() {
    let shop = Shop::new();
    let served = Served::new(shop.service().wait_for_tickets(Arc::clone(&shop.cache))).await;
    for _ in 0..2 {
        let plain = shop.local().build();
        let mut at_server = plain.handshake(Role::Server, &HandshakeOptions::default()).unwrap();
        let (more, call) = up_to_the_ticket(&served.channel, &mut at_server).await;
        assert!(more.is_empty() && call.is_none());
    }
    assert!(shop.cache.is_empty());
}

#[tokio::test]
async fn nothing_is_wanted_by_default() {
    let shop = Shop::new();
    let served = Served::new(shop.service()).await;
    for _ in 0..2 {
        let (more, call) = up_to_the_ticket(&served.channel, &mut shop.server()).await;
        assert!(more.is_empty() && call.is_none());
    }
    let stats = shop.keys.stats();
    assert_eq!((stats.issued, stats.offered), (0, 0));
}

/// A client of `remote` that has finished all but the wait for its ticket, with what its server sends behind the handshake.
async fn waiting(
    remote: &RemoteHandshaker,
    server: &mut Handshake,
) -> (Box<dyn HandshakeSession>, Result<Vec<u8>, Vec<u8>>) {
    let mut session = remote.start(Role::Client, &named()).unwrap();
    let (mut offer, mut finish, mut last) = (Vec::new(), Vec::new(), Vec::new());
    step(&mut *session, &[], &mut offer).await.unwrap();
    let answer = advance(server, &offer);
    let waits = step(&mut *session, &answer, &mut finish).await.unwrap();
    assert!(waits.result.is_none());
    let accepted = server.step(&finish, SystemTime::now(), &mut last).is_ok();
    (session, if accepted { Ok(last) } else { Err(last) })
}

type Change = Box<dyn Fn(Vec<u8>) -> Vec<u8>>;
type Check = Box<dyn Fn(&Error) -> bool>;

#[tokio::test]
async fn what_comes_in_place_of_the_ticket() {
    let shop = Shop::new();
    let served = Served::new(shop.service().wait_for_tickets(Arc::clone(&shop.cache))).await;
    let remote = served.remote();
    let unexpected =
        |error: &Error| matches!(error, Error::Peer { code: AlertCode::UnexpectedMessage, .. });
    let changed =
        |error: &Error| matches!(error, Error::Peer { code: AlertCode::DecryptError, .. });
    let flip = |at: usize| {
        move |mut ticket: Vec<u8>| {
            ticket[at] ^= 1;
            ticket
        }
    };
    let cases: Vec<(&str, Change, Check)> = vec![
        ("a record", Box::new(|_| RECORD.to_vec()), Box::new(unexpected)),
        ("a changed ticket", Box::new(flip(8)), Box::new(changed)),
        ("another changed ticket", Box::new(flip(300)), Box::new(changed)),
        ("another frame", Box::new(flip(4)), Box::new(unexpected)),
        (
            "a forged alert",
            Box::new(|_| [&[30, 0, 0, 0, 0x4e, 0, 0, 0][..], &[7; 26]].concat()),
            Box::new(changed),
        ),
        (
            "one that is too long",
            Box::new(|ticket| [&1_557_u32.to_le_bytes(), &ticket[4..]].concat()),
            Box::new(unexpected),
        ),
    ];
    for (what, change, is_expected) in cases {
        let (mut session, sent) = waiting(&remote, &mut shop.server()).await;
        let error = step(&mut *session, &change(sent.unwrap()), &mut Vec::new()).await.unwrap_err();
        assert!(is_expected(&error), "{what}: {error:?}");
        assert!(shop.cache.is_empty(), "{what}");
    }
}

/// Without the wait, the caller would find the alert in place of its first record, and not know what it is.
#[tokio::test]
async fn a_server_that_refuses_the_client_fails_the_handshake() {
    let shop = Shop::new();
    let served = Served::new(shop.service().wait_for_tickets(Arc::clone(&shop.cache))).await;
    let refusing = shop.local().client_policy(Policy::nobody()).ticket_keys(Arc::clone(&shop.keys));
    let refusing = refusing.build();
    let at_server = || refusing.handshake(Role::Server, &HandshakeOptions::default()).unwrap();
    let (mut session, sent) = waiting(&served.remote(), &mut at_server()).await;
    let alert = sent.unwrap_err();
    let error = step(&mut *session, &alert, &mut Vec::new()).await.unwrap_err();
    let refused =
        Error::Alert { code: AlertCode::AccessDenied, reason: String::new(), sealed: true };
    assert_eq!(error, refused);
    assert!(shop.cache.is_empty());

    // As gRPC's callers see it.
    let mut call = served.open(client(client_start())).await.unwrap();
    let offer = call.answer().await.unwrap().out_frames;
    let mut at_server = at_server();
    let answer = advance(&mut at_server, &offer);
    let finish = call.ask(next(&answer)).await.unwrap();
    let mut alert = Vec::new();
    at_server.step(&finish.out_frames, SystemTime::now(), &mut alert).unwrap_err();
    let status = call.ask(next(&alert)).await.unwrap_err();
    assert_status(&status, Code::PermissionDenied, "access_denied");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_never_comes() {
    let shop = Shop::new();
    let served = Served::new(shop.service().wait_for_tickets(Arc::clone(&shop.cache))).await;
    let (ticket, call) = up_to_the_ticket(&served.channel, &mut shop.server()).await;
    let mut call = call.unwrap();
    call.ask(next(&ticket[..ticket.len() - 1])).await.unwrap();
    assert_status(&call.answer().await.unwrap_err(), Code::Unavailable, "next message");
    assert!(shop.cache.is_empty());
}

/// What a user's connections left behind serves that user alone.
#[tokio::test]
async fn no_user_has_the_tickets_of_another() {
    const ONE: u32 = 1_001;
    const OTHER: u32 = 1_002;
    let shop = Shop::new();
    // Both under the same identity, to the same server, by the same name.
    let service = shop.service().wait_for_tickets(Arc::clone(&shop.cache));
    let served = Served::new(service).await;
    let one = served.channel_of(Caller::with_uid(ONE)).await;
    let other = served.channel_of(Caller::with_uid(OTHER)).await;
    let unknown = served.channel_of(Caller::default()).await;
    let full = async |channel: &Channel| {
        let (ticket, call) = up_to_the_ticket(channel, &mut shop.server()).await;
        let Some(mut call) = call else { return false };
        assert!(call.ask(next(&ticket)).await.unwrap().result.is_some());
        true
    };
    assert!(full(&one).await);
    for stranger in [&other, &unknown, &served.channel] {
        assert!(full(stranger).await, "nothing was there for this user");
    }
    assert_eq!(shop.keys.stats().offered, 0);
    for user in [&one, &other, &unknown, &served.channel] {
        assert!(!full(user).await, "each has its own");
    }
    assert_eq!(shop.keys.stats().accepted, 4);
}

/// A user with identities of its own: its tickets are of that identity, and are of no use under another.
#[tokio::test]
async fn tickets_are_of_the_identity_that_was_used() {
    let shop = Shop::new();
    let uid = 1_001;
    let second = "spiffe://dev.local/cart-too";
    let service = shop
        .service()
        .identity_of_user(uid, identity(&shop.authority, CART))
        .identity_of_user(uid, identity(&shop.authority, second))
        .wait_for_tickets(Arc::clone(&shop.cache));
    let served = Served::new(service).await;
    let user = served.channel_of(Caller::with_uid(uid)).await;
    let (ticket, call) = up_to_the_ticket(&user, &mut shop.server()).await;
    call.unwrap().ask(next(&ticket)).await.unwrap();
    assert_eq!(shop.cache.len(), 1);

    let mut as_second = client_start();
    as_second.local_identity = Some(crate::support::service_account(second));
    let mut call = Call::open(&user, Some(client(as_second))).await.unwrap();
    let offer = call.answer().await.unwrap().out_frames;
    let answer = advance(&mut shop.server(), &offer);
    assert!(call.ask(next(&answer)).await.unwrap().result.is_none(), "a full handshake");
    assert_eq!(shop.keys.stats().offered, 0);
    let (_, call) = up_to_the_ticket(&user, &mut shop.server()).await;
    assert!(call.is_none(), "a resumed one");
}

#[tokio::test]
async fn both_sides_ask_services() {
    let shop = Shop::new();
    let at = |name| {
        HandshakerService::builder()
            .identity(identity(&shop.authority, name))
            .server_policy(Policy::own_trust_domain())
    };
    let clients = Served::new(at(CART).wait_for_tickets(Arc::clone(&shop.cache))).await;
    let servers = Served::new(at(STOCK).ticket_keys(Arc::clone(&shop.keys))).await;
    let (clients, servers) = (clients.remote(), servers.remote());
    for round in 0..3 {
        let mut at_client = clients.start(Role::Client, &named()).unwrap();
        let mut at_server = start(&servers, Role::Server);
        let (mut offer, mut answer, mut finish) = (Vec::new(), Vec::new(), Vec::new());
        step(&mut *at_client, &[], &mut offer).await.unwrap();
        step(&mut *at_server, &offer, &mut answer).await.unwrap();
        let mut ours = step(&mut *at_client, &answer, &mut finish).await.unwrap().result;
        let mut behind = Vec::new();
        let theirs = step(&mut *at_server, &finish, &mut behind).await.unwrap().result.unwrap();
        assert_eq!(ours.is_some(), round > 0);
        if round == 0 {
            // The server's first record comes in the segment of the ticket.
            let ticket_len = behind.len();
            behind.extend_from_slice(RECORD);
            let (one, two) = behind.split_at(9);
            let part = step(&mut *at_client, one, &mut Vec::new()).await.unwrap();
            assert!(part.result.is_none() && part.consumed == one.len());
            let last = step(&mut *at_client, two, &mut Vec::new()).await.unwrap();
            assert_eq!(last.consumed, ticket_len - one.len());
            ours = last.result;
        } else {
            assert!(behind.is_empty());
        }
        assert_eq!(ours.unwrap().key_data, theirs.key_data);
    }
    assert_eq!((shop.keys.stats().accepted, shop.cache.stats().accepted), (2, 2));
}
