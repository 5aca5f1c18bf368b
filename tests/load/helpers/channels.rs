//! `channels`: so many channels of tonic at once, each with one call: `call N`.

use alts::Connector;
use alts::connect::Settings;
use alts::handshaker::HandshakeLimits;
use alts::tonic::AltsConnector;
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
        let mut calls = JoinSet::new();
        for _ in 0..asked {
            calls.spawn(call(connector.clone(), work.server));
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
        report(&json!({ "asked": asked, "answered": answered, "lost": lost }));
    }
}

async fn call(
    connector: Connector,
    server: std::net::SocketAddr,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let endpoint = Endpoint::from_shared(format!("http://{server}"))?;
    let channel = endpoint.connect_with_connector(AltsConnector::new(connector)).await?;
    EchoClient::new(channel).who_am_i(WhoAmIRequest {}).await?;
    Ok(())
}
