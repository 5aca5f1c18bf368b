//! Beside the service.

use std::time::Duration;

use alts::Connector;
use alts::yamux::{Config, Session};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::forward::{both_ways, finish, options};

/// How long to wait before dialing again: from the first to the second, twice as long each time.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];
/// How long the service may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

pub(crate) struct Agent {
    pub(crate) connector: Connector,
    pub(crate) relay: String,
    pub(crate) service: String,
    pub(crate) grace: Duration,
}

impl Agent {
    /// Serves until `stop` comes. A connection that is lost, or cannot be made, is made again.
    pub(crate) async fn run(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut pause = PAUSES[0];
        loop {
            let began = Instant::now();
            let dialed = tokio::select! {
                () = &mut stop => return,
                dialed = self.connector.dial(self.relay.clone()) => dialed,
            };
            match dialed {
                Ok(stream) => {
                    tracing::info!(relay = stream.peer().name(), "connected");
                    let pool = self.connector.settings().pool.clone();
                    let (session, driver) = Session::client(stream, Config::default(), pool);
                    let driver = tokio::spawn(driver);
                    let mut users = JoinSet::new();
                    let stopped = tokio::select! {
                        () = &mut stop => true,
                        () = self.serve(&session, &mut users) => false,
                    };
                    if stopped {
                        while users.try_join_next().is_some() {}
                        tracing::info!(
                            users = users.len(),
                            grace = ?self.grace,
                            "stopping: no new users"
                        );
                        if let Err(error) = session.shutdown(self.grace).await {
                            tracing::warn!(%error, "the connection did not end in order");
                        }
                        finish(users, self.grace).await;
                        return;
                    }
                    match driver.await {
                        Ok(Ok(())) => tracing::info!("the relay has ended the connection"),
                        Ok(Err(error)) => tracing::warn!(%error, "the connection is lost"),
                        Err(error) => tracing::error!(%error, "the connection's task failed"),
                    }
                    if began.elapsed() > PAUSES[1] {
                        pause = PAUSES[0];
                    }
                }
                Err(error) => tracing::warn!(
                    %error,
                    relay = self.relay,
                    again_in = ?pause,
                    "no connection to the relay"
                ),
            }
            tokio::select! {
                () = &mut stop => return,
                () = sleep(pause) => pause = (pause * 2).min(PAUSES[1]),
            }
        }
    }

    /// Connects users to the service, until the session ends.
    async fn serve(&self, session: &Session, users: &mut JoinSet<()>) {
        let forwarding = options(&self.connector.settings().pool);
        while let Ok(Some(stream)) = session.accept().await {
            let (service, forwarding) = (self.service.clone(), forwarding.clone());
            users.spawn(async move {
                let socket = match timeout(CONNECT, TcpStream::connect(&service)).await {
                    Ok(Ok(socket)) => socket,
                    Ok(Err(error)) => {
                        return tracing::warn!(%error, service, "no connection to the service");
                    }
                    Err(_) => {
                        return tracing::warn!(
                            service,
                            "no connection to the service within {CONNECT:?}"
                        );
                    }
                };
                both_ways(socket, stream, &forwarding).await;
            });
            while users.try_join_next().is_some() {}
        }
    }
}
