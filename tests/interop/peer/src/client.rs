//! The client: runs cases and prints a line on each, `case TAB ok|failed TAB count TAB milliseconds TAB detail`.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{Duration, Instant};

use alts::tonic::{AltsConnector, cause_of};
use bytes::Bytes;
use clap::Args;
use http::uri::PathAndQuery;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::BinaryMetadataValue;
use tonic::{Code, Request, Response, Status};

use crate::Common;
use crate::channel::{self, Channel};
use crate::raw::Raw;
use crate::server::{MESSAGE_LIMIT, SERVICE};

/// For one call, and for making a connection.
const PATIENCE: Duration = Duration::from_secs(20);
/// For what cannot succeed.
const IMPATIENCE: Duration = Duration::from_secs(2);
const UNARY_SIZES: [usize; 5] = [0, 1 << 10, 64 << 10, 1 << 20, 8 << 20];
const STREAM_MESSAGES: usize = 300;
const CONNECTIONS: usize = 4;
/// One message of those that move many bytes.
const BULK: usize = 4 << 20;

#[derive(Debug, Args)]
pub(crate) struct Client {
    #[arg(long)]
    address: String,
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Who the server has to be.
    #[arg(long)]
    target: Vec<String>,
    /// Whom the server has to see.
    #[arg(long)]
    expect_caller: String,
    /// Whom clients see that learn it from their transport. tonic does not report it; the policy checks it.
    #[arg(long)]
    expect_server: String,
    /// How much the cases `upload` and `download` move.
    #[arg(long, default_value_t = 0)]
    bytes: usize,
    #[command(flatten)]
    common: Common,
}

type Failure = Box<dyn Error>;
type Outcome = Result<(usize, String), Failure>;

impl Client {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let connector = self.connector()?;
        // The channel of most cases is made by the first that needs it.
        let mut channel = None;
        for case in &self.cases {
            let start = Instant::now();
            let outcome = Box::pin(self.case(case, connector.as_ref(), &mut channel)).await;
            let (word, count, detail) = match outcome {
                Ok((count, detail)) => ("ok", count, detail),
                Err(failure) => ("failed", 0, explain(&*failure)),
            };
            let ms = start.elapsed().as_millis();
            println!("{case}\t{word}\t{count}\t{ms}\t{}", detail.escape_debug());
        }
        Ok(())
    }

    fn connector(&self) -> Result<Option<AltsConnector>, Failure> {
        if self.common.is_plain() {
            return Ok(None);
        }
        let connector = self.common.connector()?;
        let mut options = connector.settings().handshake.clone();
        options.target_identities.clone_from(&self.target);
        Ok(Some(AltsConnector::new(connector).options(options)))
    }

    async fn connect(&self, connector: Option<&AltsConnector>) -> Result<Channel, Failure> {
        channel::connect(self.common.stack, &self.address, connector.cloned(), PATIENCE).await
    }

    async fn case(
        &self,
        case: &str,
        connector: Option<&AltsConnector>,
        channel: &mut Option<Channel>,
    ) -> Outcome {
        if case == "refused" {
            return self.refused(connector).await;
        }
        if case == "resumed" {
            return Box::pin(self.resumed(connector)).await;
        }
        if case == "connections" {
            return Box::pin(self.connections(connector)).await;
        }
        if channel.is_none() {
            *channel = Some(self.connect(connector).await?);
        }
        let Some(channel) = channel.clone() else { return Err("no channel".into()) };
        match case {
            "unary" => {
                for size in UNARY_SIZES {
                    self.unary(&channel, size).await?;
                }
                Ok((UNARY_SIZES.len(), String::new()))
            }
            "small" => {
                self.unary(&channel, 1 << 10).await?;
                stream(&channel, 5).await?;
                Ok((6, String::new()))
            }
            "stream" => {
                stream(&channel, STREAM_MESSAGES).await?;
                Ok((STREAM_MESSAGES, String::new()))
            }
            "parallel" => parallel(&channel).await,
            "metadata" => metadata(&channel).await,
            "compressed" => {
                for size in UNARY_SIZES {
                    let sent = pattern(size);
                    let mut grpc = grpc(&channel)
                        .accept_compressed(CompressionEncoding::Gzip)
                        .send_compressed(CompressionEncoding::Gzip);
                    grpc.ready().await?;
                    let mut request = Request::new(sent.clone());
                    request.metadata_mut().insert("x-compress", "gzip".parse()?);
                    let answer = grpc.unary(request, path("Unary")?, Raw).await?;
                    expect(*answer.get_ref() == sent, || format!("{size} bytes changed"))?;
                }
                Ok((UNARY_SIZES.len(), String::new()))
            }
            "unknown" => {
                let unknown = call(&channel, "Nothing", Bytes::new()).await;
                let code = unknown.map_or_else(|status| status.code(), |_| Code::Ok);
                expect(code == Code::Unimplemented, || format!("{code:?}"))?;
                Ok((1, String::new()))
            }
            "deadline" => self.deadline(&channel).await,
            "cancel" => self.cancel(&channel).await,
            "forbidden" => {
                let denied = call(&channel, "Restricted", Bytes::new()).await;
                let code = denied.map_or_else(|status| status.code(), |_| Code::Ok);
                expect(code == Code::PermissionDenied, || format!("{code:?}"))?;
                self.unary(&channel, 1).await?;
                Ok((2, String::new()))
            }
            "restart" => self.restart(connector, &channel).await,
            "upload" => {
                let message = Bytes::from(vec![0xA5; BULK]);
                let times = self.bytes.div_ceil(BULK);
                for _ in 0..times {
                    let answer = call(&channel, "Sink", message.clone()).await?.into_inner();
                    expect(answer == BULK.to_string(), || "another size".to_owned())?;
                }
                Ok((times, format!("{} MiB", (times * BULK) >> 20)))
            }
            "download" => {
                let times = self.bytes.div_ceil(BULK);
                for _ in 0..times {
                    let answer = call(&channel, "Source", BULK.to_string().into()).await?;
                    expect(answer.get_ref().len() == BULK, || "another size".to_owned())?;
                }
                Ok((times, format!("{} MiB", (times * BULK) >> 20)))
            }
            _ => Err("no such case".into()),
        }
    }

    /// An echo; the address that the server saw it come from.
    async fn unary(&self, channel: &Channel, size: usize) -> Result<String, Failure> {
        let sent = pattern(size);
        let answer = call(channel, "Unary", sent.clone()).await?;
        expect(*answer.get_ref() == sent, || format!("{size} bytes came back changed"))?;
        let word = |key| {
            answer.metadata().get(key).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let seen = word("x-alts-peer");
        expect(seen == self.expect_caller, || format!("the server takes us for {seen:?}"))?;
        Ok(word("x-alts-from").to_owned())
    }

    /// Two connections, one after the other. Who makes the handshakes here sees whether the second was resumed.
    async fn resumed(&self, connector: Option<&AltsConnector>) -> Outcome {
        let mut from = BTreeSet::new();
        for _ in 0..2 {
            let channel = self.connect(connector).await?;
            from.insert(self.unary(&channel, 1 << 10).await?);
        }
        expect(from.len() == 2, || format!("connections from {from:?}"))?;
        let accepted = self.common.tickets.stats().accepted;
        expect(!self.common.is_local() || accepted > 0, || "no handshake was resumed".to_owned())?;
        Ok((2, String::new()))
    }

    async fn connections(&self, connector: Option<&AltsConnector>) -> Outcome {
        let one = async || {
            let channel = self.connect(connector).await?;
            let mut from = self.unary(&channel, 0).await?;
            for _ in 0..10 {
                from = self.unary(&channel, 64 << 10).await?;
            }
            stream(&channel, 50).await?;
            Ok::<_, Failure>((channel, from))
        };
        let (a, b, c, d) = tokio::try_join!(one(), one(), one(), one())?;
        let from = BTreeSet::from([a.1, b.1, c.1, d.1]);
        expect(from.len() == CONNECTIONS, || format!("connections from {from:?}"))?;
        Ok((CONNECTIONS, String::new()))
    }

    async fn deadline(&self, channel: &Channel) -> Outcome {
        let before = ended(channel).await?;
        let mut request = Request::new(Bytes::new());
        request.set_timeout(Duration::from_millis(300));
        let Err(status) = call_with(channel, "Hang", request).await else {
            return Err("an answer".into());
        };
        // Where the clock of tonic's own client or server is first, it says so under another code.
        let own = status.code() == Code::Cancelled && status.message() == "Timeout expired";
        expect(own || status.code() == Code::DeadlineExceeded, || status.to_string())?;
        until_ended(channel, before + 1).await?;
        self.unary(channel, 1 << 10).await?;
        Ok((2, String::new()))
    }

    async fn cancel(&self, channel: &Channel) -> Outcome {
        let before = ended(channel).await?;
        let hanging = call(channel, "Hang", Bytes::new());
        let answer = timeout(Duration::from_millis(200), hanging).await;
        expect(answer.is_err(), || "a call that hangs has ended".to_owned())?;
        until_ended(channel, before + 1).await?;

        let (say, mut hear) = chat(channel).await?;
        say.send(pattern(1000)).await?;
        expect(hear.next().await.is_some(), || "no echo".to_owned())?;
        drop((hear, say));
        self.unary(channel, 1 << 10).await?;
        Ok((3, String::new()))
    }

    /// No connection, for whatever reason; and soon.
    async fn refused(&self, connector: Option<&AltsConnector>) -> Outcome {
        match self.connect(connector).await {
            Ok(_) => Err("connected".into()),
            Err(failure) => {
                let fault = cause_of(&*failure).map(alts::Error::fault);
                Ok((1, format!("{fault:?}: {}", explain(&*failure))))
            }
        }
    }

    /// The handshaker service goes away and comes back. Connections do not care; new ones wait for it.
    async fn restart(&self, connector: Option<&AltsConnector>, channel: &Channel) -> Outcome {
        let mut input = BufReader::new(stdin()).lines();
        let before = self.unary(channel, 1 << 10).await?;
        println!("paused");
        input.next_line().await?;
        expect(self.unary(channel, 1 << 10).await? == before, || "reconnected".to_owned())?;
        let without = match timeout(IMPATIENCE, self.connect(connector)).await {
            Ok(Ok(_)) => "connected",
            _ => "refused",
        };
        println!("paused");
        input.next_line().await?;
        expect(self.unary(channel, 1 << 10).await? == before, || "reconnected".to_owned())?;
        let start = Instant::now();
        let mut attempts = 1;
        let fresh = loop {
            match self.connect(connector).await {
                Ok(fresh) => break fresh,
                Err(failure) if start.elapsed() > PATIENCE => return Err(failure),
                Err(_) => sleep(Duration::from_millis(250)).await,
            }
            attempts += 1;
        };
        let after = self.unary(&fresh, 1 << 10).await?;
        expect(after != before, || "the same connection".to_owned())?;
        Ok((3, format!("{without} without the service, {attempts} attempts with it")))
    }
}

async fn parallel(channel: &Channel) -> Outcome {
    let mut calls = JoinSet::new();
    for size in 10_000..10_200 {
        let channel = channel.clone();
        calls.spawn(async move {
            let answer = call(&channel, "Unary", pattern(size)).await?;
            Ok::<_, Status>(*answer.get_ref() == pattern(size))
        });
    }
    let count = calls.len();
    while let Some(same) = calls.join_next().await {
        expect(same??, || "bytes came back changed".to_owned())?;
    }
    Ok((count, String::new()))
}

async fn metadata(channel: &Channel) -> Outcome {
    let values = ["one", "two", "three"];
    let long = "l".repeat(6_000);
    let bytes: Vec<u8> = (0..=255).collect();
    let mut request = Request::new(Bytes::new());
    let sent = request.metadata_mut();
    for value in values {
        sent.append("x-echo-repeated", value.parse()?);
    }
    sent.insert("x-echo-long", long.parse()?);
    sent.insert_bin("x-echo-bytes-bin", BinaryMetadataValue::from_bytes(&bytes));
    let answer = call_with(channel, "Unary", request).await?;
    let came = answer.metadata();
    // Values of one key may come joined.
    let mut repeated = Vec::new();
    for value in came.get_all("x-echo-repeated") {
        repeated.extend(value.to_str()?.split(", "));
    }
    expect(repeated == values, || format!("{repeated:?}"))?;
    expect(came.get("x-echo-long").is_some_and(|value| *value == *long), || "long".to_owned())?;
    let binary = came.get_bin("x-echo-bytes-bin").ok_or("no binary metadata")?.to_bytes()?;
    expect(binary == bytes, || format!("{binary:?}"))?;
    Ok((5, String::new()))
}

fn grpc(channel: &Channel) -> Grpc<Channel> {
    Grpc::new(channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
}

fn path(method: &str) -> Result<PathAndQuery, Status> {
    format!("/{SERVICE}/{method}").parse().map_err(|_| Status::internal("no path"))
}

async fn call(channel: &Channel, method: &str, message: Bytes) -> Result<Response<Bytes>, Status> {
    call_with(channel, method, Request::new(message)).await
}

async fn call_with(
    channel: &Channel,
    method: &str,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Status> {
    let mut grpc = grpc(channel);
    grpc.ready().await?;
    grpc.unary(request, path(method)?, Raw).await
}

async fn chat(
    channel: &Channel,
) -> Result<(mpsc::Sender<Bytes>, tonic::Streaming<Bytes>), Failure> {
    let (say, said) = mpsc::channel(4);
    let mut grpc = grpc(channel);
    grpc.ready().await?;
    let request = Request::new(ReceiverStream::new(said));
    // grpcio sends no headers before its first message.
    say.send(Bytes::new()).await?;
    let mut hear = grpc.streaming(request, path("Stream")?, Raw).await?.into_inner();
    expect(hear.next().await.is_some(), || "no echo".to_owned())?;
    Ok((say, hear))
}

async fn stream(channel: &Channel, messages: usize) -> Result<(), Failure> {
    let (say, mut hear) = chat(channel).await?;
    let size = |number: usize| (number * 37) % 3000 * 16;
    let talking = async move {
        for number in 0..messages {
            if say.send(pattern(size(number))).await.is_err() {
                return;
            }
        }
    };
    let listening = async {
        for number in 0..messages {
            let heard = hear.next().await.ok_or("the stream ended early")??;
            expect(heard == pattern(size(number)), || format!("message {number} is changed"))?;
        }
        expect(hear.next().await.is_none(), || "one message too many".to_owned())
    };
    tokio::join!(talking, listening).1
}

/// How many hanging calls have ended at the server.
async fn ended(channel: &Channel) -> Result<usize, Failure> {
    let answer = call(channel, "Ended", Bytes::new()).await?.into_inner();
    Ok(str::from_utf8(&answer)?.parse()?)
}

async fn until_ended(channel: &Channel, count: usize) -> Result<(), Failure> {
    let start = Instant::now();
    while ended(channel).await? < count {
        expect(start.elapsed() < PATIENCE, || "the server's call goes on".to_owned())?;
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn pattern(size: usize) -> Bytes {
    (0..size).map(|position| (position % 251) as u8).collect()
}

fn expect(right: bool, fault: impl FnOnce() -> String) -> Result<(), Failure> {
    if right { Ok(()) } else { Err(fault().into()) }
}

fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
