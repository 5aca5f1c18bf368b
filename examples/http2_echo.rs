//! An HTTP/2 server without gRPC: what is sent to it comes back, and a request without content is greeted.
//!
//! ```text
//! cargo run -p alts-examples --features http2 --example http2_echo -- --listen 127.0.0.1:8080
//! curl --http2-prior-knowledge -d hello http://127.0.0.1:8080/
//! ```

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use alts::http2::{Body, Server};
use clap::Parser;
use http::{Request, Response};
use http_body::Body as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tower_service::Service;

#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
}

/// Two kilobytes, so that a test of windows has something to cut.
const GREETING: &str = "HTTP/2 on ready. ";

#[derive(Clone, Copy)]
struct Echo;

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let body = request.into_body();
        let body = match body.is_end_stream() {
            true => Body::from(GREETING.repeat(128)),
            false => body,
        };
        ready(Ok(Response::new(body)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    Server::builder().build()?.serve(TcpListenerStream::new(listener), Echo, stop).await;
    Ok(())
}
