//! The client: does as often as it is told what it is told.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alts::connect::Settings;
use alts::http2::client::Client;
use alts::tonic::{AltsConnector, Channel};
use alts_benches::cores::{cpu_time, pin};
use alts_benches::identity::Pem;
use alts_benches::tls::{self, AnyName, NAME};
use rustls::crypto::ring;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::transport::{ClientTlsConfig, Endpoint, Identity};

use crate::echo::echo_client::EchoClient;
use crate::echo::{Message, RepeatRequest};
use crate::pair::{Stack, Transport};

/// Takes orders from the standard input: what, the size of a message, how many at a time, how often. Answers with the processor
/// time and the time that it took, in seconds; `ping` has answers of its own.
pub(crate) fn run(
    stack: Stack,
    transport: Transport,
    directory: &Path,
    address: &str,
    core: usize,
) {
    pin(core);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let pem = Pem::read(directory, "client");
    let uri = format!("http://{address}");
    let connector = || AltsConnector::new(pem.connector(Settings::default()));
    match stack {
        Stack::Alts => {
            let builder = Client::builder(uri.parse().expect("a URI"));
            let client = runtime.block_on(async {
                match transport {
                    Transport::Tcp => builder.connect().await,
                    _ => builder.connect_with(connector().on_ready()).await,
                }
            });
            let channel = Channel::from(client.expect("a connection"));
            orders(&runtime, &EchoClient::new(channel));
        }
        Stack::Hyper => {
            let endpoint = Endpoint::from_shared(uri).expect("a URI");
            let channel = runtime.block_on(async {
                match transport {
                    Transport::Tcp => endpoint.connect().await,
                    Transport::Alts => endpoint.connect_with_connector(connector()).await,
                    Transport::Tls => {
                        tls::install(ring::default_provider());
                        let tls = ClientTlsConfig::new()
                            .domain_name(NAME)
                            .identity(Identity::from_pem(&pem.chain, &pem.key));
                        let server = AnyName::new(&pem, &ring::default_provider());
                        let endpoint = Endpoint::from_shared(format!("https://{address}"));
                        let endpoint = endpoint.expect("a URI");
                        let endpoint = endpoint.tls_config_with_verifier(tls, Arc::new(server));
                        endpoint.expect("certificates").connect().await
                    }
                }
            });
            orders(&runtime, &EchoClient::new(channel.expect("a connection")));
        }
    }
}

/// What a generated client makes its calls through.
trait Calls:
    GrpcService<
        Body,
        Error: Into<StdError>,
        Future: Send,
        ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl Calls for tonic::transport::Channel {}
impl Calls for Channel {}

fn orders<T: Calls>(runtime: &tokio::runtime::Runtime, client: &EchoClient<T>) {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("an order");
        let words: Vec<&str> = line.split(' ').collect();
        let [what, size, in_flight, count] = words[..] else { panic!("{line:?} is no order") };
        let number = |word: &str| word.parse::<u32>().expect("a number");
        let message = Message { payload: vec![0x5A; number(size) as usize].into() };
        let (in_flight, count) = (number(in_flight), number(count));
        if what == "ping" {
            let figures = runtime.block_on(ping(client, message, in_flight, count));
            println!("{} {} {}", figures[0], figures[1], figures[2]);
            continue;
        }
        let (used, begun) = (cpu_time(), Instant::now());
        runtime.block_on(async {
            match what {
                "unary" => unary(client, &message, in_flight, count).await,
                "repeat" => repeat(client.clone(), message, count).await,
                "join" => join(client.clone(), message, count).await,
                other => panic!("nothing is called {other}"),
            }
        });
        println!("{} {}", cpu_time() - used, begun.elapsed().as_secs_f64());
    }
}

async fn unary<T: Calls>(client: &EchoClient<T>, message: &Message, in_flight: u32, count: u32) {
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (client, message) =
            (client.clone().max_decoding_message_size(8 << 20), message.clone());
        let mut client = client;
        tasks.spawn(async move {
            for _ in 0..count / in_flight {
                let answer = client.once(message.clone()).await.expect("an answer").into_inner();
                assert!(answer.payload.len() == message.payload.len(), "the echo differs");
            }
        });
    }
    tasks.join_all().await;
}

async fn repeat<T: Calls>(mut client: EchoClient<T>, message: Message, times: u32) {
    let request = RepeatRequest { message: Some(message), times };
    let mut answers = client.repeat(request).await.expect("an answer").into_inner();
    let mut count = 0;
    while answers.message().await.expect("a message").is_some() {
        count += 1;
    }
    assert_eq!(count, times, "messages are missing");
}

async fn join<T: Calls>(mut client: EchoClient<T>, message: Message, times: u32) {
    let messages = tokio_stream::iter(std::iter::repeat_n(message, times as usize));
    let answer = client.join(messages).await.expect("an answer").into_inner();
    assert_eq!(answer.payload[..], times.to_be_bytes(), "messages are missing");
}

/// Calls with 64 B, one after the other for so many milliseconds, while streams of the same connection send messages as fast as they
/// can. Answers the median time of a call, the 99th of a hundred, and what the streams have sent, in seconds and bytes a second.
async fn ping<T: Calls>(
    client: &EchoClient<T>,
    message: Message,
    streams: u32,
    millis: u32,
) -> [f64; 3] {
    let received = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        let (mut client, received) = (client.clone(), Arc::clone(&received));
        let request = RepeatRequest { message: Some(message.clone()), times: u32::MAX };
        let mut answers = client.repeat(request).await.expect("an answer").into_inner();
        tasks.spawn(async move {
            while let Some(message) = answers.message().await.expect("a message") {
                received.fetch_add(message.payload.len() as u64, Ordering::Relaxed);
            }
        });
    }
    let mut client = client.clone();
    let small = Message { payload: vec![0x5A; 64].into() };
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < Duration::from_millis(millis.into()) {
        let sent = Instant::now();
        client.once(small.clone()).await.expect("an answer");
        times.push(sent.elapsed().as_secs_f64());
    }
    let rate = received.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[times.len() * 99 / 100], rate]
}
