//! Sessions that ask a service.

use std::future::poll_fn;
use std::time::{Duration, SystemTime};

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::identity::Policy;
use alts_handshaker::service::{HandshakerService, ServiceLimits};
use alts_handshaker::{
    AlertCode, Error, HandshakeOptions, HandshakeSession, Handshaker, LocalHandshaker,
    RemoteHandshaker, Role, Step,
};
use tokio::net::UnixListener;

use crate::support::{CART, STOCK, Served, builder, eventually, identity};

pub(crate) async fn step(
    session: &mut dyn HandshakeSession,
    received: &[u8],
    out: &mut Vec<u8>,
) -> Result<Step, Error> {
    poll_fn(|cx| session.poll_step(cx, received, SystemTime::now(), out)).await
}

pub(crate) fn start(handshaker: &impl Handshaker, role: Role) -> Box<dyn HandshakeSession> {
    handshaker.start(role, &HandshakeOptions::default()).unwrap()
}

/// Drives two sessions to their results: keys, and names as the client and the server see them.
async fn complete(
    at_client: &mut dyn HandshakeSession,
    at_server: &mut dyn HandshakeSession,
) -> Result<(), Error> {
    let (mut offer, mut answer, mut finish) = (Vec::new(), Vec::new(), Vec::new());
    step(at_client, &[], &mut offer).await?;
    // In two pieces, since the network does so.
    let (one, two) = offer.split_at(7);
    assert_eq!(step(at_server, one, &mut answer).await?.consumed, 7);
    step(at_server, two, &mut answer).await?;
    let client = step(at_client, &answer, &mut finish).await?.result.unwrap();
    finish.extend_from_slice(b"a record");
    let last = step(at_server, &finish, &mut Vec::new()).await?;
    assert_eq!(last.consumed, finish.len() - b"a record".len());
    let server = last.result.unwrap();
    assert_eq!(client.key_data, server.key_data);
    assert_eq!(client.key_data.as_bytes().len(), 44);
    assert_eq!(client.peer.name(), server.local);
    assert_eq!(server.peer.name(), client.local);
    assert_eq!(client.peer_max_frame_size, 16_384);
    assert!(client.peer.spiffe_id().is_some());
    Ok(())
}

#[tokio::test]
async fn both_sides_ask() {
    let served = Served::new(builder()).await;
    let handshaker = served.remote();
    let (mut at_client, mut at_server) =
        (start(&handshaker, Role::Client), start(&handshaker, Role::Server));
    complete(&mut *at_client, &mut *at_server).await.unwrap();
    // It is over, and stays over.
    for session in [&mut at_client, &mut at_server] {
        let again = step(&mut **session, b"x", &mut Vec::new()).await.unwrap_err();
        assert!(matches!(again, Error::Misuse(_)), "{again}");
    }
}

/// A service takes all that it is given, the beginning of a frame as well: what comes then is no beginning, however it reads.
#[tokio::test]
async fn an_answer_may_come_in_any_pieces() {
    let served = Served::new(builder()).await;
    let handshaker = served.remote();
    // Around the end of the first frame, and before the end of the last; by the length of each answer, which differs.
    let cuts = (0..18).map(|at| (true, at)).chain((2..20).map(|at| (false, at)));
    for (of_first, at) in cuts {
        for middle in [1, 8, usize::MAX] {
            let mut at_client = start(&handshaker, Role::Client);
            let (mut offer, mut answer) = (Vec::new(), Vec::new());
            step(&mut *at_client, &[], &mut offer).await.unwrap();
            step(&mut *start(&handshaker, Role::Server), &offer, &mut answer).await.unwrap();
            let first = 4 + u32::from_le_bytes(*answer.first_chunk().unwrap()) as usize;
            assert!(first < answer.len(), "an answer of one frame shows nothing");
            let one = if of_first { first - 9 + at } else { answer.len() - at };
            let two = one.saturating_add(middle).min(answer.len() - 1);
            let mut result = None;
            for piece in [&answer[..one], &answer[one..two], &answer[two..]] {
                assert!(result.is_none(), "before the end, cut at {one} and {two}");
                result = step(&mut *at_client, piece, &mut Vec::new()).await.unwrap().result;
            }
            assert!(result.is_some(), "{} bytes, cut at {one} and {two}", answer.len());
        }
    }
}

#[tokio::test]
async fn log_ids_agree_where_both_ask() {
    let served = Served::new(builder()).await;
    let handshaker = served.remote();
    let (mut at_client, mut at_server) =
        (start(&handshaker, Role::Client), start(&handshaker, Role::Server));
    let (mut offer, mut answer, mut finish) = (Vec::new(), Vec::new(), Vec::new());
    step(&mut *at_client, &[], &mut offer).await.unwrap();
    step(&mut *at_server, &offer, &mut answer).await.unwrap();
    let client = step(&mut *at_client, &answer, &mut finish).await.unwrap().result.unwrap();
    let server = step(&mut *at_server, &finish, &mut Vec::new()).await.unwrap().result.unwrap();
    assert_eq!(client.log_id, server.log_id);
}

#[tokio::test]
async fn one_side_asks() {
    let authority = DevCa::new(SystemTime::now()).unwrap();
    let served = Served::new(
        HandshakerService::builder()
            .identity(identity(&authority, STOCK))
            .server_policy(Policy::own_trust_domain()),
    )
    .await;
    let local = LocalHandshaker::builder(identity(&authority, CART))
        .server_policy(Policy::own_trust_domain())
        .build();
    let remote = served.remote();
    complete(&mut *start(&local, Role::Client), &mut *start(&remote, Role::Server)).await.unwrap();
    complete(&mut *start(&remote, Role::Client), &mut *start(&local, Role::Server)).await.unwrap();
}

#[tokio::test]
async fn a_hundred_at_once_over_one_connection() {
    let served = Served::new(builder()).await;
    let handshaker = served.remote();
    let handshakes: Vec<_> = (0..100)
        .map(|_| {
            let handshaker = handshaker.clone();
            tokio::spawn(async move {
                let mut at_client = start(&handshaker, Role::Client);
                let mut at_server = start(&handshaker, Role::Server);
                complete(&mut *at_client, &mut *at_server).await
            })
        })
        .collect();
    for handshake in handshakes {
        handshake.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn faults_of_the_peer_keep_their_names() {
    let served = Served::new(builder().client_policy(Policy::nobody())).await;
    let remote = served.remote();

    let (mut at_client, mut at_server) =
        (start(&remote, Role::Client), start(&remote, Role::Server));
    let denied = complete(&mut *at_client, &mut *at_server).await.unwrap_err();
    assert!(matches!(&denied, Error::Denied { peer, .. } if peer == CART), "{denied}");

    let mut session = start(&remote, Role::Server);
    let foreign = step(&mut *session, b"PRI * HTTP/2.0", &mut Vec::new()).await.unwrap_err();
    assert!(matches!(foreign, Error::Foreign(_)), "{foreign}");
    // And it stays the session's error.
    let again = step(&mut *session, b"x", &mut Vec::new()).await.unwrap_err();
    assert_eq!(again, foreign);

    let mut session = start(&remote, Role::Server);
    let broken = step(&mut *session, &[0; 8], &mut Vec::new()).await.unwrap_err();
    assert!(matches!(broken, Error::Peer { code: AlertCode::DecodeError, .. }), "{broken}");

    let mut session = start(&remote, Role::Client);
    step(&mut *session, &[], &mut Vec::new()).await.unwrap();
    let alert = [7, 0, 0, 0, 0x4f, 0, 0, 0, 0, 15, 0];
    let told = step(&mut *session, &alert, &mut Vec::new()).await.unwrap_err();
    assert!(matches!(told, Error::Alert { code: AlertCode::Overloaded, .. }), "{told}");
}

#[tokio::test]
async fn a_denied_target() {
    let served = Served::new(builder()).await;
    let remote = served.remote();
    let mut options = HandshakeOptions::default();
    options.target_identities = vec![STOCK.into()];
    let mut at_client = remote.start(Role::Client, &options).unwrap();
    let mut at_server = start(&remote, Role::Server);
    let denied = complete(&mut *at_client, &mut *at_server).await.unwrap_err();
    assert!(matches!(&denied, Error::Denied { peer, .. } if peer == CART), "{denied}");
    assert!(matches!(remote.start(Role::Server, &options), Err(Error::Misuse(_))));
}

#[tokio::test]
async fn no_service_there() {
    let directory = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}", directory.path().join("nothing").display());
    // Bound, never listened to by a handshaker, and closed.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [unix, format!("http://{port}"), "http://name.invalid:1".to_owned()] {
        let handshaker = RemoteHandshaker::builder(&address).build().unwrap();
        for role in [Role::Client, Role::Server] {
            let mut session = start(&handshaker, role);
            let error = step(&mut *session, b"xxx", &mut Vec::new()).await.unwrap_err();
            assert!(matches!(error, Error::Unavailable(_)), "{address}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_service_that_never_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let handshaker = RemoteHandshaker::builder(format!("unix:{}", path.display()))
        .answer_timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let mut session = start(&handshaker, Role::Client);
    let error = step(&mut *session, &[], &mut Vec::new()).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(text) if text.contains("200ms")), "{error}");
}

#[tokio::test]
async fn dropped_sessions_end_their_calls() {
    let service = builder().build().unwrap();
    let served = Served::of(service.clone().into_server()).await;
    let handshaker = served.remote();
    let mut between = start(&handshaker, Role::Client);
    step(&mut *between, &[], &mut Vec::new()).await.unwrap();
    let mut failed = start(&handshaker, Role::Client);
    step(&mut *failed, &[], &mut Vec::new()).await.unwrap();
    assert_eq!(service.in_flight(), 2);

    let mut out = Vec::new();
    failed.fail(AlertCode::Timeout, &mut out);
    assert!(out.is_empty(), "a service has no alerts to send");
    eventually(|| service.in_flight() == 1).await;
    let error = step(&mut *failed, b"x", &mut out).await.unwrap_err();
    assert!(matches!(error, Error::Limit { code: AlertCode::Timeout, .. }), "{error}");
    drop(between);
    eventually(|| service.in_flight() == 0).await;
}

#[tokio::test]
async fn a_session_dropped_in_the_middle_of_a_question() {
    let mut limits = ServiceLimits::default();
    limits.streams = 1;
    let service = builder().limits(limits).build().unwrap();
    let served = Served::of(service.clone().into_server()).await;
    let handshaker = served.remote();
    let mut first = start(&handshaker, Role::Client);
    step(&mut *first, &[], &mut Vec::new()).await.unwrap();
    // Waits in the service for the first.
    let mut second = start(&handshaker, Role::Client);
    let mut out = Vec::new();
    let arrived = eventually(|| service.in_flight() == 2);
    tokio::select! {
        answered = step(&mut *second, &[], &mut out) => panic!("{answered:?}"),
        () = arrived => {}
    }
    drop(second);
    eventually(|| service.in_flight() == 1).await;
}

#[tokio::test]
async fn handshakes_wait_for_their_turn() {
    let service = builder().build().unwrap();
    let served = Served::of(service.clone().into_server()).await;
    let handshaker = RemoteHandshaker::builder(&served.address)
        .max_concurrent(1)
        .silent_peer_timeout(Duration::MAX)
        .build()
        .unwrap();
    let mut first = start(&handshaker, Role::Client);
    let mut offer = Vec::new();
    step(&mut *first, &[], &mut offer).await.unwrap();
    let second = tokio::spawn({
        let handshaker = handshaker.clone();
        async move {
            let mut session = start(&handshaker, Role::Client);
            step(&mut *session, &[], &mut Vec::new()).await.map(|_| ())
        }
    });
    // Servers have places of their own.
    let mut server = start(&handshaker, Role::Server);
    step(&mut *server, &offer, &mut Vec::new()).await.unwrap();
    assert_eq!(service.in_flight(), 2);
    assert!(!second.is_finished());
    drop(first);
    second.await.unwrap().unwrap();
}

/// Peers that begin a message, or let a handshake wait, keep no turn from others.
#[tokio::test(start_paused = true)]
async fn silent_peers_stop_nobody() {
    let mut limits = ServiceLimits::default();
    // What ends them is not the service.
    limits.idle_timeout = Duration::from_hours(1);
    limits.handshake_timeout = Duration::from_hours(1);
    let service = builder().limits(limits).build().unwrap();
    let served = Served::of(service.clone().into_server()).await;
    let handshaker = RemoteHandshaker::builder(&served.address).max_concurrent(1).build().unwrap();
    let mut offer = Vec::new();
    let mut at_client = start(&served.remote(), Role::Client);
    step(&mut *at_client, &[], &mut offer).await.unwrap();
    drop(at_client);

    // The service is not asked about the part of a message.
    let mut strangers = Vec::new();
    for len in [0, 1, 7, 8, 9, 100, offer.len() - 1] {
        let mut session = start(&handshaker, Role::Server);
        for byte in &offer[..len] {
            assert_eq!(step(&mut *session, &[*byte], &mut Vec::new()).await.unwrap().consumed, 1);
        }
        strangers.push(session);
    }
    eventually(|| service.in_flight() == 0).await;
    let (mut at_client, mut at_server) =
        (start(&served.remote(), Role::Client), start(&handshaker, Role::Server));
    complete(&mut *at_client, &mut *at_server).await.unwrap();

    // Nor does one keep its turn whose message was whole, though it goes on to say a little now and then.
    let mut first = strangers.pop().unwrap();
    let mut answer = Vec::new();
    step(&mut *first, &offer[offer.len() - 1..], &mut answer).await.unwrap();
    assert!(!answer.is_empty());
    let began = tokio::time::Instant::now();
    let (mut at_client, mut at_server) =
        (start(&served.remote(), Role::Client), start(&handshaker, Role::Server));
    let trickle = async {
        for byte in [0, 0x10, 0, 0, 0x44, 0, 0, 0].into_iter().chain(std::iter::repeat(0)) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            step(&mut *first, &[byte], &mut Vec::new()).await.unwrap();
        }
    };
    tokio::select! {
        done = complete(&mut *at_client, &mut *at_server) => done.unwrap(),
        () = trickle => unreachable!("it does not end"),
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "it had its time");
    let lost = step(&mut *first, &[0; 0x2000], &mut Vec::new()).await.unwrap_err();
    assert!(matches!(&lost, Error::Limit { code: AlertCode::Overloaded, .. }), "{lost}");
    assert!(lost.to_string().contains("said nothing for 2s"), "{lost}");
    eventually(|| service.in_flight() == 0).await;
}

/// Whoever drives it is told at once, and not when the peer speaks again.
#[tokio::test(start_paused = true)]
async fn a_session_that_loses_its_turn_is_woken() {
    let served = Served::new(builder()).await;
    let handshaker = RemoteHandshaker::builder(&served.address).max_concurrent(1).build().unwrap();
    let mut first = start(&handshaker, Role::Client);
    let mut offer = Vec::new();
    step(&mut *first, &[], &mut offer).await.unwrap();
    let waiting = tokio::spawn(async move {
        let error = poll_fn(|cx| first.poll_ended(cx)).await;
        (error, step(&mut *first, &[0], &mut Vec::new()).await.unwrap_err())
    });
    step(&mut *start(&handshaker, Role::Client), &[], &mut Vec::new()).await.unwrap();
    let (ended, later) = waiting.await.unwrap();
    assert!(ended.to_string().contains("said nothing for 2s"), "{ended}");
    assert_eq!(later, ended);
}

#[tokio::test(start_paused = true)]
async fn no_turn_in_time() {
    let served = Served::new(builder()).await;
    let handshaker = RemoteHandshaker::builder(&served.address)
        .max_concurrent(1)
        .silent_peer_timeout(Duration::MAX)
        .answer_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    let mut first = start(&handshaker, Role::Client);
    step(&mut *first, &[], &mut Vec::new()).await.unwrap();
    let late = step(&mut *start(&handshaker, Role::Client), &[], &mut Vec::new()).await;
    let late = late.unwrap_err();
    assert!(matches!(&late, Error::Limit { code: AlertCode::Overloaded, .. }), "{late}");
    assert!(late.to_string().contains("no turn"), "{late}");
}

#[tokio::test]
async fn settings_at_their_ends() {
    let served = Served::new(builder()).await;
    let builder = || RemoteHandshaker::builder(&served.address);
    for refused in [builder().max_concurrent(0), builder().answer_timeout(Duration::ZERO)] {
        assert!(matches!(refused.build(), Err(Error::Misuse(_))));
    }
    let largest = builder().max_concurrent(usize::MAX).answer_timeout(Duration::MAX);
    for timeout in [Duration::MAX, Duration::ZERO] {
        let handshaker = largest.clone().silent_peer_timeout(timeout).build().unwrap();
        let (mut at_client, mut at_server) =
            (start(&handshaker, Role::Client), start(&handshaker, Role::Server));
        complete(&mut *at_client, &mut *at_server).await.unwrap();
    }
}

#[test]
fn outside_a_runtime() {
    let handshaker = RemoteHandshaker::builder("http://127.0.0.1:1").build().unwrap();
    let mut session = start(&handshaker, Role::Client);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match session.poll_step(&mut cx, &[], SystemTime::now(), &mut Vec::new()) {
        std::task::Poll::Ready(Err(Error::Misuse(text))) => assert!(text.contains("runtime")),
        other => panic!("{other:?}"),
    }
}
