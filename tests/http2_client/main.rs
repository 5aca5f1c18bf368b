//! The HTTP/2 client against a server that a test directs frame by frame.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod calls;
mod connections;
mod deadlines;
mod flow;
mod full;
mod server;

use alts::http2::client::{CallError, Client, ResponseBody, ResponseFuture};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tower_service::Service;

/// A call with all of its body at once.
fn call(client: &Client, content: &'static [u8]) -> ResponseFuture {
    let request = http::Request::post("/service/Method").body(Full::new(Bytes::from(content)));
    client.clone().call(request.unwrap())
}

/// A call in a task, which it begins in.
fn spawn(
    client: &Client,
    content: &'static [u8],
) -> tokio::task::JoinHandle<Result<Bytes, CallError>> {
    tokio::spawn(content_of(call(client, content)))
}

async fn content_of(response: ResponseFuture) -> Result<Bytes, CallError> {
    Ok(collect(response.await?.into_body()).await?)
}

async fn collect(body: ResponseBody) -> Result<Bytes, alts::http2::Error> {
    Ok(body.collect().await?.to_bytes())
}
