//! Handshakes that succeed, and what gRPC's clients need of them.

use std::sync::Arc;
use std::time::SystemTime;

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::identity::Policy;
use alts_handshaker::proto::{
    Endpoint, NetworkProtocol, ServerHandshakeParameters, TransportProtocolPreferences,
};
use alts_handshaker::service::HandshakerService;
use alts_handshaker::{HandshakeOptions, LocalHandshaker, RecordProtocol, Role};

use crate::support::{
    CART, STOCK, Served, builder, client, client_start, grpc_versions, handshake, identity, next,
    server, server_start, service_account,
};

#[tokio::test]
async fn both_sides_get_every_field() {
    let served = Served::new(builder()).await;
    let (at_client, at_server) =
        handshake(&served, client_start(), server_start(&[])).await.unwrap();
    assert_eq!(at_client.key_data, at_server.key_data);
    // The client gets what the server stated, and the other way round.
    assert_eq!(at_client.max_frame_size, 65_536);
    assert_eq!(at_server.max_frame_size, 1_048_576);
    for result in [&at_client, &at_server] {
        assert_eq!(result.key_data.len(), 44);
        assert_eq!(result.application_protocol, "grpc");
        assert_eq!(result.record_protocol, "ALTSRP_GCM_AES128_REKEY");
        assert_eq!(result.peer_identity, Some(service_account(CART)));
        assert_eq!(result.local_identity, Some(service_account(CART)));
        assert_eq!(result.peer_rpc_versions, Some(grpc_versions()));
        assert!(!result.keep_channel_open);
    }
}

#[tokio::test]
async fn only_the_last_response_leaves_bytes() {
    let served = Served::new(builder()).await;
    let mut at_client = served.open(client(client_start())).await.unwrap();
    let offer = at_client.answer().await.unwrap();
    assert_eq!(offer.bytes_consumed, 0);
    let start = server(server_start(&offer.out_frames));
    let mut at_server = served.open(start).await.unwrap();
    let answer = at_server.answer().await.unwrap();
    assert_eq!(answer.bytes_consumed as usize, offer.out_frames.len());

    let with_more = [&answer.out_frames[..], b"not of this handshake"].concat();
    let finish = at_client.ask(next(&with_more)).await.unwrap();
    assert_eq!(finish.bytes_consumed as usize, answer.out_frames.len());
    assert!(finish.result.is_some() && !finish.out_frames.is_empty());

    let with_record = [&finish.out_frames[..], &[9; 3_000]].concat();
    let done = at_server.ask(next(&with_record)).await.unwrap();
    assert_eq!(done.bytes_consumed as usize, finish.out_frames.len());
    assert!(done.result.is_some() && done.out_frames.is_empty());
    at_client.assert_over().await;
    at_server.assert_over().await;
}

#[tokio::test]
async fn one_byte_at_a_time() {
    let served = Served::new(builder()).await;
    let mut at_client = served.open(client(client_start())).await.unwrap();
    let mut to_server = at_client.answer().await.unwrap().out_frames;
    // A server that has been given nothing.
    let mut at_server = served.open(server(server_start(&[]))).await.unwrap();
    assert_eq!(at_server.answer().await.unwrap().out_frames, []);

    let mut to_client = Vec::new();
    let (mut client_result, mut server_result) = (None, None);
    while server_result.is_none() {
        for byte in std::mem::take(&mut to_server) {
            let response = at_server.ask(next(&[byte])).await.unwrap();
            assert_eq!(response.bytes_consumed, 1);
            to_client.extend(response.out_frames);
            server_result = server_result.or(response.result);
        }
        for byte in std::mem::take(&mut to_client) {
            let response = at_client.ask(next(&[byte])).await.unwrap();
            assert_eq!(response.bytes_consumed, 1);
            to_server.extend(response.out_frames);
            client_result = client_result.or(response.result);
        }
    }
    assert_eq!(client_result.unwrap().key_data, server_result.unwrap().key_data);
}

#[tokio::test]
async fn what_decides_nothing_is_tolerated() {
    let served = Served::new(builder()).await;
    let endpoint = || {
        let protocol = NetworkProtocol::Tcp.into();
        Some(Endpoint { ip_address: "no address".into(), port: -1, protocol })
    };
    let transports =
        || Some(TransportProtocolPreferences { transport_protocol: vec!["udp".into()] });
    let mut start = client_start();
    start.local_endpoint = endpoint();
    start.remote_endpoint = endpoint();
    start.transport_protocol_preferences = transports();
    start.target_name = "x".repeat(10_000);
    start.record_protocols.insert(0, "ALTSRP_GMAC_128".into());
    // Empty in both senses.
    start.local_identity = Some(service_account(""));
    start.max_frame_size = u32::MAX;
    let mut to = server_start(&[]);
    to.local_endpoint = endpoint();
    to.remote_endpoint = endpoint();
    to.transport_protocol_preferences = transports();
    to.max_frame_size = 0;
    let parameters = to.handshake_parameters.get_mut(&2).unwrap();
    parameters.token = Some(String::new());
    parameters.record_protocols.push("UNHEARD_OF".into());
    to.handshake_parameters.insert(77, ServerHandshakeParameters::default());
    let (at_client, at_server) = handshake(&served, start, to).await.unwrap();
    assert_eq!((at_client.max_frame_size, at_server.max_frame_size), (0, u32::MAX));
}

/// A peer that does its handshakes itself offers more than a service knows of.
#[tokio::test]
async fn no_authenticated_close_and_no_other_record_protocol() {
    let authority = DevCa::new(SystemTime::now()).unwrap();
    let service = HandshakerService::builder().identity(identity(&authority, STOCK));
    let served = Served::new(service).await;
    let local = LocalHandshaker::builder(Arc::clone(&identity(&authority, CART)))
        .server_policy(Policy::own_trust_domain())
        .build();
    let mut options = HandshakeOptions::default();
    options.close_notify = true;
    options.record_protocols = vec![RecordProtocol::Aes128Gcm, RecordProtocol::Aes128GcmRekey];
    let mut at_client = local.handshake(Role::Client, &options).unwrap();

    let (mut offer, mut finish) = (Vec::new(), Vec::new());
    let now = SystemTime::now();
    at_client.step(&[], now, &mut offer).unwrap();
    let mut at_server = served.open(server(server_start(&offer))).await.unwrap();
    let answer = at_server.answer().await.unwrap().out_frames;
    let result = at_client.step(&answer, now, &mut finish).unwrap().result.unwrap();
    let done = at_server.ask(next(&finish)).await.unwrap().result.unwrap();
    assert!(!result.close_notify);
    assert_eq!(result.record_protocol, RecordProtocol::Aes128GcmRekey);
    assert_eq!(result.key_data.as_bytes(), done.key_data);
    assert_eq!(result.peer.name(), STOCK);
    assert_eq!(done.peer_identity, Some(service_account(CART)));
}
