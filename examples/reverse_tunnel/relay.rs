//! Where agents and users meet.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alts::connect::AcceptLoop;
use alts::relay::{RelayEnd, RelayOptions};
use alts::yamux::{Config, Session, Stream};
use alts::{Acceptor, AltsStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::forward::{both_ways, finish, options};

/// The agents that are there, the next one to use in front.
#[derive(Clone, Default)]
struct Agents(Arc<Mutex<Vec<Session>>>);

impl Agents {
    fn with<R>(&self, change: impl FnOnce(&mut Vec<Session>) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A stream to one of them. They take turns; those that have gone are forgotten.
    async fn open(&self) -> Option<Stream> {
        loop {
            let session = self.with(|agents| {
                let session = agents.first().cloned()?;
                agents.rotate_left(1);
                Some(session)
            })?;
            match session.open().await {
                Ok(stream) => return Some(stream),
                Err(error) => {
                    tracing::debug!(%error, "an agent takes no more users");
                    self.with(|agents| agents.retain(|other| !other.is_same(&session)));
                }
            }
        }
    }
}

/// Serves until `stop` comes, and then for `grace` those users that are there.
pub(crate) async fn run(
    acceptor: &Acceptor,
    agents_listener: TcpListener,
    users_listener: TcpListener,
    grace: Duration,
    stop: impl Future<Output = ()>,
) {
    let agents = Agents::default();
    let forwarding = options(&acceptor.settings().pool);
    let mut users = JoinSet::new();
    {
        let mut incoming_agents = acceptor.incoming(agents_listener);
        let mut incoming_users = AcceptLoop::new(users_listener);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(stream) = incoming_agents.next() => welcome(stream, acceptor, &agents),
                Some(socket) = incoming_users.next() => {
                    let (agents, forwarding) = (agents.clone(), forwarding.clone());
                    users.spawn(async move { serve(socket, &agents, &forwarding).await });
                }
                Some(_) = users.join_next() => {}
            }
        }
    }
    tracing::info!(users = users.len(), ?grace, "stopping: no new users");
    let mut ending = JoinSet::new();
    for session in agents.with(std::mem::take) {
        ending.spawn(async move { session.shutdown(grace).await });
    }
    while let Some(ended) = ending.join_next().await {
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "an agent's connection did not end in order");
        }
    }
    finish(users, grace).await;
}

fn welcome(stream: AltsStream<TcpStream>, acceptor: &Acceptor, agents: &Agents) {
    let name = stream.peer().name().to_owned();
    tracing::info!(agent = name, "an agent is there");
    let pool = acceptor.settings().pool.clone();
    // It is the one that dials, and so the client; streams go the other way.
    let (session, driver) = Session::server(stream, Config::default(), pool);
    agents.with(|agents| agents.insert(0, session.clone()));
    let agents = agents.clone();
    tokio::spawn(async move {
        let ended = driver.await;
        agents.with(|agents| agents.retain(|other| !other.is_same(&session)));
        match ended {
            Ok(()) => tracing::info!(agent = name, "an agent has left"),
            Err(error) => tracing::warn!(agent = name, %error, "an agent is lost"),
        }
    });
}

async fn serve(socket: TcpStream, agents: &Agents, forwarding: &RelayOptions) {
    match agents.open().await {
        Some(stream) => both_ways(socket, stream, forwarding).await,
        None => {
            tracing::warn!("a user is turned away: no agent is there");
            socket.abort();
        }
    }
}
