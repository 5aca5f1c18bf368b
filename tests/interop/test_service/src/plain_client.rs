//! This project's HTTP/2 client against servers without gRPC.

use std::error::Error;
use std::pin::{Pin, pin};

use alts::http2::client::{Client, ResponseBody};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use tokio::task::JoinSet;
use tower::Service;

use crate::plain_server::{Generated, LENGTH, pattern};

/// Makes requests of a server that has patterns at `/bytes/N` for N of 0, 1000 and 20,000,000 and echoes what it is sent.
#[derive(Debug, clap::Args)]
pub(crate) struct PlainClient {
    /// The server's address.
    #[arg(long)]
    server: String,
    /// The server puts the field `x-length` into trailers.
    #[arg(long)]
    trailers: bool,
}

const SIZES: [usize; 3] = [0, 1_000, 20_000_000];
const UPLOADS: [usize; 5] = [1, 1_000, 16_384, 100_000, 20_000_000];
/// More than servers allow at a time.
const PARALLEL: usize = 500;

impl PlainClient {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        self.cases().await.map_err(|fault| fault as Box<dyn Error>)
    }

    async fn cases(self) -> Result<(), Fault> {
        let client = Client::builder(format!("http://{}", self.server).parse()?).connect().await?;
        let mut requests = 0;
        for size in SIZES {
            self.download(&client, size).await?;
            requests += 1;
        }
        for size in UPLOADS {
            upload(&client, size).await?;
            requests += 1;
        }
        let mut many = JoinSet::new();
        for at in 0..PARALLEL {
            let client = client.clone();
            match at % 2 {
                0 => many.spawn(async move { get(&client, 1_000).await.map(drop) }),
                _ => many.spawn(async move { upload(&client, 10_000).await }),
            };
        }
        while let Some(done) = many.join_next().await {
            done??;
            requests += 1;
        }
        // What is dropped in the middle is reset, and the connection goes on.
        for _ in 0..20 {
            drop(client.clone().call(request("/bytes/20000000", 0)?).await?);
            requests += 1;
        }
        self.download(&client, 1_000).await?;
        println!("{} requests", requests + 1);
        Ok(())
    }

    async fn download(&self, client: &Client, size: usize) -> Result<(), Fault> {
        let trailers = get(client, size).await?;
        let said = trailers.get(LENGTH).and_then(|length| length.to_str().ok());
        let wanted = self.trailers.then(|| size.to_string());
        expect(said == wanted.as_deref(), || format!("trailers after {size} bytes: {trailers:?}"))
    }
}

type Fault = Box<dyn Error + Send + Sync>;

fn expect(right: bool, fault: impl FnOnce() -> String) -> Result<(), Fault> {
    if right { Ok(()) } else { Err(fault().into()) }
}

fn request(path: &str, content: usize) -> Result<Request<Generated>, http::Error> {
    let method = if content == 0 { "GET" } else { "POST" };
    Request::builder().method(method).uri(path).body(Generated::new(content))
}

async fn get(client: &Client, size: usize) -> Result<HeaderMap, Fault> {
    let path = format!("/bytes/{size}");
    let response = client.clone().call(request(&path, 0)?).await?;
    expect(response.status() == StatusCode::OK, || format!("{:?}", response.status()))?;
    let (content, trailers) = collect(response.into_body()).await?;
    expect(content == pattern(size), || format!("{size} bytes came changed"))?;
    Ok(trailers)
}

async fn upload(client: &Client, size: usize) -> Result<(), Fault> {
    let response = client.clone().call(request("/echo", size)?).await?;
    expect(response.status() == StatusCode::OK, || format!("{:?}", response.status()))?;
    let (content, _) = collect(response.into_body()).await?;
    expect(content == pattern(size), || format!("{size} bytes came back as {}", content.len()))
}

async fn collect(body: ResponseBody) -> Result<(Bytes, HeaderMap), Fault> {
    let mut body = pin!(body);
    let (mut content, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = std::future::poll_fn(|cx| Pin::as_mut(&mut body).poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(piece) => content.extend_from_slice(&piece),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok((content.into(), trailers))
}
