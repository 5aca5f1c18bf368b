//! `channels KIND`: so many channels at once, each with one call: `call N`. The kind is `tonic`, or `own` for this crate's HTTP/2.

use std::net::SocketAddr;
use std::time::Instant;

use alts::Connector;
use alts::connect::Settings;
use alts::handshaker::HandshakeLimits;
use alts::tonic::{AltsConnector, Channel};
use serde_json::json;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use super::{Work, report};
use crate::grpc::{EchoClient, WhoAmIRequest};

pub(crate) async fn run(mut work: Work) {
    let connector = work.connector_with("client", |settings: &mut Settings| {
        settings.limits = HandshakeLimits::default();
    });
    report(&json!({}));
    while let Some(order) = work.order().await {
        let asked: u64 = order[1].parse().expect("a number");
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for _ in 0..asked {
            calls.spawn(call(work.has_word("own"), connector.clone(), work.server));
        }
        let (mut answered, mut lost) = (0, 0);
        while let Some(called) = calls.join_next().await {
            match called.expect("it does not panic") {
                Ok(()) => answered += 1,
                Err(error) => {
                    eprintln!("a channel: {error}");
                    lost += 1;
                }
            }
        }
        let ms = begun.elapsed().as_millis() as u64;
        report(&json!({ "asked": asked, "answered": answered, "lost": lost, "ms": ms }));
    }
}

async fn call(
    own: bool,
    connector: Connector,
    server: SocketAddr,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let target = format!("http://{server}");
    if own {
        let channel = Channel::connect(target.parse()?, connector).await?;
        EchoClient::new(channel).who_am_i(WhoAmIRequest {}).await?;
    } else {
        let endpoint = Endpoint::from_shared(target)?;
        let channel = endpoint.connect_with_connector(AltsConnector::new(connector)).await?;
        EchoClient::new(channel).who_am_i(WhoAmIRequest {}).await?;
    }
    Ok(())
}
