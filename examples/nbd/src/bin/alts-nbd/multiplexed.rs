//! Many NBD connections in one: yamux.

use std::sync::Arc;
use std::time::Duration;

use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::yamux::{Config, ConfigError, Session};
use alts_nbd::export::Exports;
use alts_nbd::server::Server;
use tokio::io::AsyncWrite;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::serving::log_end;

/// NBD connections that one connection may carry at a time. Clients open one for each processor or so.
pub(crate) const STREAMS: u32 = 16;

/// How connections with streams are served.
#[derive(Clone, Debug)]
pub(crate) struct Multiplexing {
    config: Config,
    /// What has arrived and was not read. Not the server's pool: a stream holds a buffer of it while a request waits for one.
    pool: BufferPool,
    /// How long a connection may be without a stream.
    idle: Duration,
}

impl Multiplexing {
    pub(crate) fn new(pool: BufferPool, idle: Duration) -> Result<Self, ConfigError> {
        let config = Config::builder().max_incoming(STREAMS).backlog(STREAMS).build()?;
        Ok(Self { config, pool, idle })
    }

    /// Serves the streams of a connection until it ends, or has had none for too long.
    pub(crate) async fn serve<S>(&self, io: S, server: &Server, exports: Exports, peer: &str)
    where
        S: ReadyReader + AsyncWrite + Send + Unpin + 'static,
    {
        let (session, driver) = Session::server(io, self.config.clone(), self.pool.clone());
        let driver = tokio::spawn(driver);
        let (peer, mut streams) = (Arc::<str>::from(peer), JoinSet::new());
        loop {
            let accepted = tokio::select! {
                accepted = session.accept() => accepted,
                Some(_) = streams.join_next() => continue,
                () = sleep(self.idle), if streams.is_empty() => break,
            };
            // How it ended, the driver says.
            let Ok(Some(stream)) = accepted else { break };
            let (server, exports, peer) = (server.clone(), exports.clone(), Arc::clone(&peer));
            streams.spawn(async move {
                log_end(&peer, server.serve(stream, exports).await);
            });
        }
        // Without it the connection ends when its last stream has.
        drop(session);
        while streams.join_next().await.is_some() {}
        if let Ok(Err(error)) = driver.await {
            tracing::info!(peer = &*peer, %error, "connection with streams given up");
        }
    }
}
