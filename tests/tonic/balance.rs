//! One channel over several servers.

use alts::connect::Settings;
use alts::tonic::{AltsConnector, BalancedChannel};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::echo::echo_client::EchoClient;
use crate::fixture::{Over, Served, message};
use crate::support::Parties;

fn endpoint(port: u16) -> Endpoint {
    Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap()
}

#[tokio::test]
async fn every_server_gets_its_share() {
    let parties = Parties::new();
    let mut served = Vec::new();
    for _ in 0..3 {
        served.push(Served::new(&parties, Over::Tcp).await);
    }
    let connector = AltsConnector::new(parties.connector(Settings::default()));
    let endpoints = served.iter().map(|served| endpoint(served.port()));
    let channel = BalancedChannel::new(endpoints, &connector);
    let mut client = EchoClient::new(channel);
    for _ in 0..30 {
        client.who_am_i(crate::echo::WhoAmIRequest {}).await.unwrap();
    }
    for served in &served {
        assert_eq!(served.seen.callers().len(), 10);
    }
    // A clone goes on where the other is, and calls of other kinds work, too.
    let mut clone = client.clone();
    for _ in 0..3 {
        clone.who_am_i(crate::echo::WhoAmIRequest {}).await.unwrap();
    }
    let request = crate::echo::RepeatRequest { message: Some(message("hello")), times: 5 };
    let repeated = client.repeat(request).await.unwrap().into_inner();
    assert_eq!(repeated.collect::<Vec<_>>().await.len(), 5);
}

#[tokio::test]
async fn a_server_that_is_gone_costs_one_call() {
    let parties = Parties::new();
    let served = [Served::new(&parties, Over::Tcp).await, Served::new(&parties, Over::Tcp).await];
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let connector = AltsConnector::new(parties.connector(Settings::default()));
    let ports = [served[0].port(), gone, served[1].port()];
    let channel = BalancedChannel::new(ports.map(endpoint), &connector);
    let mut client = EchoClient::new(channel);
    let mut failed = 0;
    let start = std::time::Instant::now();
    for _ in 0..60 {
        match client.once(message("hello")).await {
            Ok(_) => {}
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable);
                failed += 1;
            }
        }
    }
    // It is tried again after a second, then after two more, and so on.
    let most = 1 + start.elapsed().as_secs();
    assert!((1..=most).contains(&failed), "{failed}");
}

/// One that does not answer holds up the call that tries it, and no other.
#[tokio::test]
async fn a_server_that_does_not_answer_holds_up_one_call() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    // Accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connector = AltsConnector::new(parties.connector(Settings::default()));
    let ports = [silent.local_addr().unwrap().port(), served.port()];
    let channel = BalancedChannel::new(ports.map(endpoint), &connector);
    let client = EchoClient::new(channel);
    let mut first = client.clone();
    let held_up = tokio::spawn(async move { first.once(message("hello")).await });
    let (_socket, _) = silent.accept().await.unwrap();
    let mut client = client;
    for _ in 0..20 {
        client.once(message("hello")).await.unwrap();
    }
    assert!(!held_up.is_finished());
    held_up.abort();
}
