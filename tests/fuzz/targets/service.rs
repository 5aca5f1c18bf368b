//! The `HandshakerService`, from the bytes of gRPC's messages on: a caller that asks for what the fuzzer likes, in pieces, out of
//! order, never to end, while an honest peer, or one that garbles, is on the other side. Each answer has a status; a call ends with
//! one result or one status, and is forgotten; and a caller that behaves gets the keys that its peer has.

mod call;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alts::handshaker::identity::Policy;
use alts::handshaker::proto::handshaker_req::ReqOneof;
use alts::handshaker::proto::identity::IdentityOneof;
use alts::handshaker::proto::{
    HandshakeProtocol, HandshakerReq, Identity, NextHandshakeMessageReq, RpcProtocolVersions,
    ServerHandshakeParameters, StartClientHandshakeReq, StartServerHandshakeReq,
};
use alts::handshaker::service::{Finished, HandshakerService, Observer, ServiceLimits};
use alts::handshaker::{Handshake, HandshakeOptions, HandshakeResult, Role, RpcVersions};
use prost::Message;

use crate::FEW;
use crate::choices::Choices;
use crate::edits::edit;
use crate::runtime::{block_on, parties};
use crate::support::{CLIENT, SERVER};

use self::call::{Answer, Call};

#[derive(Debug, Default)]
struct Counts {
    started: AtomicUsize,
    finished: AtomicUsize,
    good: AtomicUsize,
}

impl Observer for Counts {
    fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    fn finished(&self, handshake: &Finished) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.good.fetch_add(usize::from(handshake.outcome.is_ok()), Ordering::Relaxed);
    }
}

fn named(name: &str) -> Identity {
    let name = IdentityOneof::ServiceAccount(name.to_owned());
    Identity { identity_oneof: Some(name), ..Identity::default() }
}

/// A start message; good if the fuzzer says nothing.
fn start(choices: &mut Choices<'_>, role: Role) -> ReqOneof {
    let rarely = |choices: &mut Choices<'_>| choices.one_in(24);
    let mut protocols = vec!["ALTSRP_GCM_AES128_REKEY".to_owned()];
    if rarely(choices) {
        protocols = vec!["ALTSRP_GCM_AES128".to_owned()];
    }
    let mut versions = Some(RpcProtocolVersions::from(RpcVersions::GRPC));
    match choices.below(24) {
        22 => versions = None,
        23 => versions.as_mut().unwrap().max_rpc_version = None,
        _ => {}
    }
    let mut application_protocols = vec!["grpc".to_owned()];
    match choices.below(24) {
        22 => application_protocols.clear(),
        23 => application_protocols = vec!["x".repeat(choices.below(100)); choices.below(8)],
        _ => {}
    }
    let identities = match choices.below(24) {
        21 => vec![named("spiffe://dev.local/nobody")],
        22 => vec![Identity::default(); choices.below(80)],
        23 => vec![named("")],
        _ => vec![],
    };
    let max_frame_size = u32::from(choices.byte()) << 8;
    let protocol = match choices.below(24) {
        23 => i32::from(choices.byte() % 5),
        _ => HandshakeProtocol::Alts as i32,
    };
    match role {
        Role::Client => ReqOneof::ClientStart(StartClientHandshakeReq {
            handshake_security_protocol: protocol,
            application_protocols,
            record_protocols: protocols,
            target_identities: if rarely(choices) { vec![named(CLIENT)] } else { identities },
            rpc_versions: versions,
            max_frame_size,
            access_token: if rarely(choices) { "token".to_owned() } else { String::new() },
            ..StartClientHandshakeReq::default()
        }),
        Role::Server => {
            let parameters = ServerHandshakeParameters {
                record_protocols: protocols,
                local_identities: identities,
                token: rarely(choices).then(|| "token".to_owned()),
            };
            ReqOneof::ServerStart(StartServerHandshakeReq {
                application_protocols,
                handshake_parameters: [(protocol, parameters)].into(),
                rpc_versions: versions,
                max_frame_size,
                ..StartServerHandshakeReq::default()
            })
        }
    }
}

/// The other side of the handshake that the caller wants.
struct Peer {
    handshake: Handshake,
    /// For the caller.
    out: Vec<u8>,
    result: Option<HandshakeResult>,
}

impl Peer {
    fn new(role: Role) -> Self {
        let parties = parties();
        let options = HandshakeOptions::default();
        let handshake = match role {
            Role::Client => parties.client_handshaker().handshake(role, &options).unwrap(),
            Role::Server => parties.server_handshaker().handshake(role, &options).unwrap(),
        };
        let mut peer = Self { handshake, out: Vec::new(), result: None };
        if role == Role::Client {
            peer.receive(&[]);
        }
        peer
    }

    fn receive(&mut self, bytes: &[u8]) {
        let now = std::time::SystemTime::now();
        if let Ok(step) = self.handshake.step(bytes, now, &mut self.out) {
            self.result = step.result.or(self.result.take());
        }
    }
}

struct Talk {
    service: HandshakerService,
    counts: Arc<Counts>,
    call: Call,
    role: Role,
    peer: Peer,
    started: bool,
    /// Nothing has happened that a good caller with a good peer would not do.
    good: bool,
    requests: usize,
    responses: usize,
    waited: Duration,
    /// For each request, how much of it is the handshake's.
    taken: Vec<usize>,
}

impl Talk {
    fn new(choices: &mut Choices<'_>) -> Self {
        let parties = parties();
        let counts = Arc::new(Counts::default());
        let role = choices.pick(&[Role::Client, Role::Server]);
        // The peer's name is the other one's.
        let own = if role == Role::Client { &parties.client } else { &parties.server };
        let mut limits = ServiceLimits::default();
        let has_policy = !choices.one_in(16);
        if choices.one_in(16) {
            limits.streams = 0;
        }
        let good = has_policy && limits.streams > 0;
        let mut builder = HandshakerService::builder()
            .identity(Arc::clone(own))
            .limits(limits)
            .observer(counts.clone());
        if has_policy {
            builder = builder.server_policy(Policy::own_trust_domain());
        }
        let service = builder.build().unwrap();
        let call = Call::new(service.clone());
        let peer = Peer::new(role.peer());
        Self {
            service,
            counts,
            call,
            role,
            peer,
            started: false,
            good,
            requests: 0,
            responses: 0,
            waited: Duration::ZERO,
            taken: Vec::new(),
        }
    }

    async fn ask(&mut self, choices: &mut Choices<'_>, request: ReqOneof) {
        let before = HandshakerReq { req_oneof: Some(request) }.encode_to_vec();
        let mut payload = before.clone();
        if choices.one_in(16) {
            edit(choices, &mut payload);
        }
        self.good &= payload == before;
        let mut message = vec![0];
        message.extend((payload.len() as u32).to_be_bytes());
        message.extend(payload);
        if choices.one_in(32) {
            self.good = false;
            let at = choices.below(5);
            message[at] = choices.byte();
        }
        self.requests += 1;
        let pieces = choices.below(3);
        for _ in 0..pieces {
            let rest = message.split_off(choices.below(message.len() + 1));
            self.call.send(message);
            message = rest;
            self.listen().await;
        }
        self.call.send(message);
    }

    /// Start first, and then what the peer has to say, all of it or a part.
    async fn go_on(&mut self, choices: &mut Choices<'_>) {
        if !self.started {
            self.started = true;
            self.taken.push(0);
            let before = choices.clone();
            let request = start(choices, self.role);
            self.good &= request == start(&mut Choices::new(&[]), self.role) || {
                // Another frame size is as good.
                let mut same = start(&mut before.clone(), self.role);
                normalise(&mut same);
                same == start(&mut Choices::new(&[]), self.role)
            };
            return self.ask(choices, request).await;
        }
        let count = match choices.below(3) {
            2 => choices.below(self.peer.out.len() + 1),
            _ => self.peer.out.len(),
        };
        let mut in_bytes: Vec<u8> = self.peer.out.drain(..count).collect();
        self.good &= !in_bytes.is_empty() && self.requests < 12;
        if choices.one_in(16) {
            let before = in_bytes.clone();
            edit(choices, &mut in_bytes);
            self.good &= in_bytes == before;
        }
        self.taken.push(in_bytes.len());
        if self.peer.result.is_some() && self.peer.out.is_empty() && choices.one_in(4) {
            // The first record is already behind it.
            in_bytes.extend([7; 30]);
        }
        let next = NextHandshakeMessageReq { in_bytes, network_latency_ms: 0 };
        self.ask(choices, ReqOneof::Next(next)).await;
    }

    /// Takes whatever the service has said.
    async fn listen(&mut self) {
        turns().await;
        while let Some(answer) = self.call.poll() {
            let Answer::Response(response) = answer else { continue };
            self.responses += 1;
            assert!(self.responses <= self.requests, "an answer without a question");
            assert_eq!(response.status.unwrap_or_default().code, 0, "faults end the stream");
            if self.good {
                let taken = self.taken[self.responses - 1];
                assert_eq!(response.bytes_consumed as usize, taken);
            }
            self.peer.receive(&response.out_frames);
            let Some(result) = &response.result else { continue };
            let name = if self.role == Role::Client { SERVER } else { CLIENT };
            assert_eq!(result.peer_identity, Some(named(name)));
            assert_eq!(result.record_protocol, "ALTSRP_GCM_AES128_REKEY");
            assert_eq!(result.application_protocol, "grpc");
            assert!(result.peer_rpc_versions.is_some() && result.local_identity.is_some());
            let peer = self.peer.result.as_ref().expect("the peer is done, too");
            assert_eq!(result.key_data, peer.key_data.as_bytes());
        }
    }

    async fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0..8 => self.go_on(choices).await,
            11 => {
                self.good = false;
                let role = choices.pick(&[Role::Client, Role::Server]);
                let request = start(choices, role);
                self.ask(choices, request).await;
            }
            12 => {
                self.good = false;
                let count = 1 + choices.below(60);
                self.call.send(choices.bytes(count).to_vec());
                self.requests += count;
            }
            13 => {
                let time = Duration::from_millis(choices.below(4_000) as u64);
                self.waited += time;
                self.good &= self.waited < Duration::from_secs(4);
                tokio::time::advance(time).await;
            }
            14 if choices.one_in(4) => {
                self.good = false;
                self.call.end(choices.below(2) == 0);
            }
            14 => self.service.drain(),
            _ => self.listen().await,
        }
    }
}

/// As a start message without a frame size.
fn normalise(request: &mut ReqOneof) {
    match request {
        ReqOneof::ClientStart(start) => start.max_frame_size = 0,
        ReqOneof::ServerStart(start) => start.max_frame_size = 0,
        ReqOneof::Next(_) => {}
    }
}

/// Lets the call go on, which runs in a task of its own, as far as it can.
async fn turns() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

async fn run(choices: &mut Choices<'_>) {
    let mut talk = Talk::new(choices);
    // A service that drains takes no new calls, and this one was there before.
    talk.listen().await;
    let mut acts = 0;
    while !choices.are_over() && acts < 40 {
        talk.act(choices).await;
        acts += 1;
    }
    let nothing = &mut Choices::new(&[]);
    for _ in 0..6 {
        talk.listen().await;
        if talk.good && (!talk.started || !talk.peer.out.is_empty()) {
            talk.go_on(nothing).await;
        }
    }
    talk.listen().await;
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    if talk.good {
        assert!(talk.call.has_result(), "a good handshake fails: {:?}", talk.call.status());
    }
    assert_eq!(talk.call.has_result(), count(&talk.counts.good) == 1);
    if talk.call.is_over() {
        assert_eq!(talk.service.in_flight(), 0, "it is over");
    }
    drop(talk.call);
    turns().await;
    assert_eq!(talk.service.in_flight(), 0);
    assert_eq!((count(&talk.counts.started), count(&talk.counts.finished)), (1, 1));
}

#[test]
fn service() {
    bolero::check!(name = "service").with_iterations(FEW).with_max_len(600).for_each(
        |input: &[u8]| {
            for mut choices in Choices::several(input) {
                block_on(run(&mut choices));
            }
        },
    );
}
