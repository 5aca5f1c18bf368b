//! Servers that stop.

use tokio_stream::StreamExt;
use tonic::Code;

use crate::fixture::{BOTH, Served, Talk, message};
use crate::support::Parties;

#[tokio::test]
async fn a_call_in_flight_ends_by_itself() {
    let parties = Parties::new();
    for over in BOTH {
        let mut served = Served::new(&parties, over).await;
        let (mut client, _) = served.connect(&parties).await;
        let mut talk = Talk::begin(&mut client).await;
        talk.exchange(b"before").await;
        served.stop();
        // No new connections: the listener is gone.
        let (endpoint, connector) =
            served.endpoint(parties.connector(alts::connect::Settings::default()));
        while endpoint.connect_with_connector(connector.clone()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        talk.exchange(b"after").await;
        assert!(!served.done.is_finished());
        let Talk { say, mut hear } = talk;
        drop(say);
        assert!(hear.next().await.is_none(), "the call ends as if nothing had happened");
        (&mut served.done).await.unwrap().unwrap();
        let status = client.once(message("too late")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

#[tokio::test]
async fn idle_connections_do_not_keep_a_server() {
    let parties = Parties::new();
    for over in BOTH {
        let served = Served::new(&parties, over).await;
        let (mut client, pool) = served.connect(&parties).await;
        client.once(message("hello")).await.unwrap();
        let server_pool = served.pool.clone();
        served.end().await;
        crate::fixture::nothing_out(&[&pool, &server_pool]).await;
    }
}
