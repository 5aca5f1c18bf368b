//! Streams in one connection: over sockets, over alts, against rust-yamux, and against peers that are wrong.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod ends;
mod hostile;
mod pool_cap;
mod raw;
mod rust_yamux;
mod streams;
#[path = "../support/mod.rs"]
mod support;

use alts::pool::BufferPool;
use alts::yamux::{Config, ConfigBuilder, Error, Session, Stream};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// The defaults, with the protocol's own window.
fn config() -> ConfigBuilder {
    Config::builder().window(256 << 10)
}

/// One side of a session, with its driver in a task.
struct Side {
    session: Session,
    driver: JoinHandle<Result<(), Error>>,
    pool: BufferPool,
}

impl Side {
    fn client(io: UnixStream, config: ConfigBuilder) -> Self {
        let pool = BufferPool::new();
        let (session, driver) = Session::client(io, config.build().unwrap(), pool.clone());
        Self { session, driver: tokio::spawn(driver), pool }
    }

    fn server(io: UnixStream, config: ConfigBuilder) -> Self {
        let pool = BufferPool::new();
        let (session, driver) = Session::server(io, config.build().unwrap(), pool.clone());
        Self { session, driver: tokio::spawn(driver), pool }
    }
}

/// A client and a server, with these settings both.
fn both(config: &ConfigBuilder) -> (Side, Side) {
    let (near, far) = UnixStream::pair().unwrap();
    (Side::client(near, config.clone()), Side::server(far, config.clone()))
}

/// A client, a server, and a stream between them.
async fn connected() -> (Side, Side, Stream, Stream) {
    let (client, server) = both(&config());
    let near = client.session.open().await.unwrap();
    let far = server.session.accept().await.unwrap().unwrap();
    (client, server, near, far)
}
