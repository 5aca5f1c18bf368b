//! The server.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use alts::handshaker::identity::{Policy, Rule};
use alts::tonic::{Access, Authorization, RequestExt};
use bytes::Bytes;
use clap::Args;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};
use tower::{Layer, Service, service_fn};

use crate::raw::Raw;
use crate::{Common, Stack};

pub(crate) const SERVICE: &str = "interop.Peer";
pub(crate) const MESSAGE_LIMIT: usize = 64 << 20;

#[derive(Debug, Args)]
pub(crate) struct Server {
    #[arg(long)]
    address: SocketAddr,
    /// Whom the handshake refuses, where it is made here.
    #[arg(long)]
    deny: Vec<Rule>,
    #[command(flatten)]
    common: Common,
}

impl Server {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let clients = self.deny.iter().cloned().fold(Policy::own_trust_domain(), Policy::deny);
        let acceptor = self.common.acceptor(clients)?;
        let listener = TcpListener::bind(self.address).await?;
        println!("ready {}", listener.local_addr()?);
        let admins = Policy::from_rules(["spiffe://dev.local/admin"])?;
        let authorization =
            Authorization::new(Access::authenticated()).method(SERVICE, "Restricted", admins);
        let incoming = acceptor.incoming(listener);
        match self.common.stack {
            Stack::Alts => {
                let service = authorization.layer(Peer::default());
                alts::tonic::Server::new().serve(incoming, service).await;
            }
            Stack::Hyper => {
                tonic::transport::Server::builder()
                    .layer(authorization)
                    .add_service(Peer::default())
                    .serve_with_incoming(incoming)
                    .await?;
            }
        }
        Ok(())
    }
}

/// What the servers in all languages do.
#[derive(Clone, Debug, Default)]
struct Peer(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Calls of `Hang` that have ended.
    ended: AtomicUsize,
    callers: Mutex<BTreeSet<String>>,
}

impl Seen {
    /// What every answer says about the connection; and a line about a caller that has not been here before.
    fn caller<T, U>(&self, request: &Request<T>, answer: U) -> Result<Response<U>, Status> {
        let alts = request.alts().ok_or_else(|| Status::internal("not over ALTS"))?;
        let name = alts.peer().name().to_owned();
        let from = alts.remote_addr().map(|address| address.to_string()).unwrap_or_default();
        let mut response = Response::new(answer);
        for (key, value) in [("x-alts-peer", &name), ("x-alts-from", &from)] {
            let value = value.parse().map_err(|_| Status::internal("not ASCII"))?;
            response.metadata_mut().insert(key, value);
        }
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.insert(name.clone()) {
            println!("caller {name}");
        }
        Ok(response)
    }
}

/// Counts a call when it is dropped.
struct Ending(Arc<Seen>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl NamedService for Peer {
    const NAME: &'static str = SERVICE;
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl<B> Service<http::Request<B>> for Peer
where
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Answer {
        let seen = self.0.clone();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let mut grpc = Grpc::new(Raw).max_decoding_message_size(MESSAGE_LIMIT);
        Box::pin(async move {
            let streaming = method == "Stream";
            Ok(if streaming {
                let echo = service_fn(move |request: Request<Streaming<Bytes>>| {
                    let seen = seen.clone();
                    async move {
                        let answer = seen.caller(&request, ())?;
                        let (metadata, (), extensions) = answer.into_parts();
                        Ok(Response::from_parts(metadata, request.into_inner(), extensions))
                    }
                });
                grpc.streaming(echo, request).await
            } else {
                let method =
                    service_fn(move |request| answer(seen.clone(), method.clone(), request));
                grpc.unary(method, request).await
            })
        })
    }
}

async fn answer(
    seen: Arc<Seen>,
    method: String,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Status> {
    let message = request.get_ref();
    let answer = match method.as_str() {
        "Unary" | "Restricted" => message.clone(),
        "Hang" => {
            let _ending = Ending(seen);
            return std::future::pending().await;
        }
        "Ended" => seen.ended.load(Ordering::SeqCst).to_string().into(),
        "Sink" => message.len().to_string().into(),
        "Source" => {
            let size = str::from_utf8(message).ok().and_then(|size| size.parse().ok());
            let size: usize = size.ok_or_else(|| Status::invalid_argument("no size"))?;
            vec![0x5A; size.min(MESSAGE_LIMIT)].into()
        }
        _ => return Err(Status::unimplemented(method)),
    };
    seen.caller(&request, answer)
}
