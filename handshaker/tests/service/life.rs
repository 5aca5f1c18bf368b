//! What a service tells of its work, and how it ends.

use std::sync::Arc;

use alts_handshaker::Role;
use tonic::Code;

use crate::support::{
    Call, Served, Told, assert_status, builder, client, client_start, eventually, handshake, next,
    server, server_start,
};

#[tokio::test]
async fn every_handshake_is_told_once() {
    let told = Arc::new(Told::default());
    let observer: Arc<Told> = Arc::clone(&told);
    let served = Served::new(builder().observer(observer)).await;
    handshake(&served, client_start(), server_start(&[])).await.unwrap();
    served.refusal(next(b"x")).await;
    served.refusal(server(server_start(b"PRI * HTTP/2.0"))).await;
    drop(Call::open(&served.channel, None).await.unwrap());

    eventually(|| told.finished.lock().unwrap().len() >= 5).await;
    let finished = told.finished.lock().unwrap();
    let mut outcomes: Vec<_> =
        finished.iter().map(|finished| (finished.role, finished.outcome)).collect();
    outcomes.sort_by_key(|outcome| format!("{outcome:?}"));
    assert_eq!(
        outcomes,
        [
            (None, Err("bad_request")),
            (None, Err("cancelled")),
            (Some(Role::Client), Ok(())),
            (Some(Role::Server), Err("foreign_protocol")),
            (Some(Role::Server), Ok(())),
        ]
    );
    assert_eq!(*told.started.lock().unwrap(), 5);
}

#[tokio::test]
async fn a_service_that_drains() {
    let service = builder().build().unwrap();
    let served = Served::of(service.clone().into_server()).await;
    let mut at_client = served.open(client(client_start())).await.unwrap();
    let offer = at_client.answer().await.unwrap().out_frames;
    let mut at_server = served.open(server(server_start(&offer))).await.unwrap();
    let answer = at_server.answer().await.unwrap().out_frames;
    assert_eq!(service.in_flight(), 2);

    service.drain();
    assert!(service.is_draining());
    let refused = served.refusal(client(client_start())).await;
    assert_status(&refused, Code::Unavailable, "shutting down");
    let finish = at_client.ask(next(&answer)).await.unwrap();
    let done = at_server.ask(next(&finish.out_frames)).await.unwrap();
    assert_eq!(finish.result.unwrap().key_data, done.result.unwrap().key_data);
    at_client.assert_over().await;
    at_server.assert_over().await;
    eventually(|| service.in_flight() == 0).await;
}
