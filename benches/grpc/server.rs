//! The server.

use std::io::BufRead;
use std::path::Path;
use std::pin::Pin;

use alts::connect::Settings;
use alts_benches::cores::{cpu_time, pin};
use alts_benches::identity::Pem;
use alts_benches::tls;
use rustls::crypto::ring;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::echo::echo_server::{Echo, EchoServer};
use crate::echo::{Caller, Message, RepeatRequest, WhoAmIRequest};
use crate::pair::{Stack, Transport};

/// What a server begins with, on one core: it says where it listens, then its processor time in seconds whenever it is asked.
pub(crate) fn measured(core: usize) -> (Runtime, TcpListener) {
    pin(core);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    std::thread::spawn(|| {
        for _ in std::io::stdin().lock().lines() {
            println!("{}", cpu_time());
        }
    });
    (runtime, listener)
}

/// Serves gRPC.
pub(crate) fn serve(stack: Stack, transport: Transport, directory: &Path, core: usize) {
    let (runtime, listener) = measured(core);
    let pem = Pem::read(directory, "server");
    let routes = Routes::new(EchoServer::new(Service).max_decoding_message_size(8 << 20));
    runtime.block_on(async {
        match (stack, transport) {
            (Stack::Alts, Transport::Tcp) => {
                let incoming = TcpListenerStream::new(listener);
                alts::tonic::Server::new().serve(incoming, routes.prepare()).await;
            }
            (Stack::Alts, _) => {
                let incoming = pem.acceptor(Settings::default()).incoming(listener);
                alts::tonic::Server::new().serve(incoming, routes.prepare()).await;
            }
            (Stack::Hyper, Transport::Tcp) => {
                // With Nagle's algorithm, which TcpListenerStream leaves on, each call would take 40 ms.
                let incoming =
                    tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
                let server = tonic::transport::Server::builder().add_routes(routes);
                server.serve_with_incoming(incoming).await.expect("the server does not end");
            }
            (Stack::Hyper, Transport::Alts) => {
                let incoming = pem.acceptor(Settings::default()).incoming(listener);
                let server = tonic::transport::Server::builder().add_routes(routes);
                server.serve_with_incoming(incoming).await.expect("the server does not end");
            }
            (Stack::Hyper, Transport::Tls) => {
                tls::install(ring::default_provider());
                let tls = ServerTlsConfig::new()
                    .identity(Identity::from_pem(&pem.chain, &pem.key))
                    .client_ca_root(Certificate::from_pem(&pem.bundle));
                let incoming =
                    tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
                let mut server =
                    tonic::transport::Server::builder().tls_config(tls).expect("certificates");
                let server = server.add_routes(routes);
                server.serve_with_incoming(incoming).await.expect("the server does not end");
            }
        }
    });
}

pub(crate) struct Service;

type Messages = Pin<Box<dyn Stream<Item = Result<Message, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for Service {
    async fn once(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type RepeatStream = Messages;

    async fn repeat(&self, request: Request<RepeatRequest>) -> Result<Response<Messages>, Status> {
        let RepeatRequest { message, times } = request.into_inner();
        let message = message.unwrap_or_default();
        let messages = std::iter::repeat_n(message, times as usize).map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
    }

    /// Answers with the number of messages: what is measured is how they come.
    async fn join(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Message>, Status> {
        let (mut messages, mut count) = (request.into_inner(), 0_u32);
        while messages.message().await?.is_some() {
            count += 1;
        }
        Ok(Response::new(Message { payload: count.to_be_bytes().to_vec().into() }))
    }

    type ChatStream = Messages;

    async fn chat(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Messages>, Status> {
        Ok(Response::new(Box::pin(request.into_inner().map(|message| message))))
    }

    async fn who_am_i(&self, _: Request<WhoAmIRequest>) -> Result<Response<Caller>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
