//! One channel over several servers, on this crate's HTTP/2.

use alts::connect::Settings;
use alts::tonic::{Channel, Channels};
use http::Uri;
use tokio::net::TcpListener;
use tonic::Code;

use crate::echo::WhoAmIRequest;
use crate::echo::echo_client::EchoClient;
use crate::fixture::{Over, Served, message};
use crate::support::Parties;

fn target(port: u16) -> Uri {
    format!("http://127.0.0.1:{port}").parse().unwrap()
}

async fn servers<const N: usize>(parties: &Parties) -> [Served; N] {
    let mut served = Vec::new();
    for _ in 0..N {
        served.push(Served::new(parties, Over::Tcp).await);
    }
    served.try_into().ok().unwrap()
}

fn channels(parties: &Parties, ports: impl IntoIterator<Item = u16>) -> Channels {
    let connector = parties.connector(Settings::default());
    Channels::new(ports.into_iter().map(target), connector).unwrap()
}

async fn calls(client: &mut EchoClient<Channels>, count: usize) {
    for _ in 0..count {
        client.who_am_i(WhoAmIRequest {}).await.unwrap();
    }
}

fn seen(served: &[Served]) -> Vec<usize> {
    served.iter().map(|served| served.seen.callers().len()).collect()
}

#[tokio::test]
async fn every_server_gets_its_share() {
    let parties = Parties::new();
    let served: [_; 3] = servers(&parties).await;
    let mut client = EchoClient::new(channels(&parties, served.iter().map(Served::port)));
    calls(&mut client, 30).await;
    assert_eq!(seen(&served), [10, 10, 10]);
    // A clone goes on where the other is.
    calls(&mut client.clone(), 3).await;
    assert_eq!(seen(&served), [11, 11, 11]);
}

/// A server with open calls gets no more of them than another.
#[tokio::test]
async fn open_calls_count() {
    let parties = Parties::new();
    let served: [_; 2] = servers(&parties).await;
    let mut client = EchoClient::new(channels(&parties, served.iter().map(Served::port)));
    let (_say, said) = tokio::sync::mpsc::channel(1);
    let chat = client.chat(tokio_stream::wrappers::ReceiverStream::new(said)).await.unwrap();
    // The first call went to the first server, and is still open.
    calls(&mut client, 6).await;
    assert_eq!(seen(&served), [0, 6]);
    drop(chat);
}

#[tokio::test]
async fn a_server_that_is_gone_costs_one_call() {
    let parties = Parties::new();
    let served: [_; 2] = servers(&parties).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let connector = parties.connector(Settings::default());
    let ports = [served[0].port(), gone, served[1].port()];
    // So long that no second attempt is made while the test runs.
    let hour = std::time::Duration::from_secs(3_600);
    let make = move |target: &Uri| {
        let connector = alts::tonic::AltsConnector::new(connector.clone()).on_ready();
        let client = Channel::builder(target.clone()).backoff(hour, hour);
        Ok(Channel::from(client.connect_lazy_with(connector).unwrap()))
    };
    let channels = Channels::with(ports.map(target), make).unwrap();
    let mut client = EchoClient::new(channels.clone());
    let mut failed = Vec::new();
    for _ in 0..60 {
        failed.extend(client.once(message("hello")).await.err());
    }
    assert_eq!(failed.iter().map(tonic::Status::code).collect::<Vec<_>>(), [Code::Unavailable]);
    assert!(format!("{channels:?}").contains("Failing"), "{channels:?}");
}

/// One that does not answer holds up the call that tries it, and no other.
#[tokio::test]
async fn a_server_that_does_not_answer_holds_up_one_call() {
    let parties = Parties::new();
    let served: [_; 1] = servers(&parties).await;
    // Accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = [silent.local_addr().unwrap().port(), served[0].port()];
    let mut client = EchoClient::new(channels(&parties, ports));
    let mut first = client.clone();
    let held_up = tokio::spawn(async move { first.once(message("hello")).await });
    let (_socket, _) = silent.accept().await.unwrap();
    calls(&mut client, 20).await;
    assert_eq!(seen(&served), [20]);
    assert!(!held_up.is_finished());
    held_up.abort();
}

#[tokio::test]
async fn the_list_changes() {
    let parties = Parties::new();
    let served: [_; 3] = servers(&parties).await;
    let [one, two, three] = [0, 1, 2].map(|at| target(served[at].port()));
    let channels = channels(&parties, []);
    let mut client = EchoClient::new(channels.clone());
    let status = client.once(message("nobody")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");

    channels.replace([one.clone(), two.clone(), one]).unwrap();
    calls(&mut client, 4).await;
    assert_eq!(seen(&served), [2, 2, 0]);
    let address = |at: usize| {
        let callers = served[at].seen.callers();
        callers.iter().map(|caller| caller.as_ref().unwrap().remote_addr()).collect::<Vec<_>>()
    };
    channels.replace([two, three]).unwrap();
    calls(&mut client, 4).await;
    assert_eq!(seen(&served), [2, 4, 2]);
    // The one that stayed was not connected to anew.
    assert!(address(1).windows(2).all(|two| two[0] == two[1]), "{:?}", address(1));
    // A list that cannot be changes nothing.
    channels.replace(["/nowhere".parse().unwrap()]).unwrap_err();
    calls(&mut client, 2).await;
    assert_eq!(seen(&served), [2, 5, 3]);
}
