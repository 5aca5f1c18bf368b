//! The client: does as often as it is told what it is told.

use std::io::BufRead;
use std::time::Instant;

use alts::http2::client::Client;
use alts::tonic::Channel;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};

use crate::Stack;
use crate::echo::echo_client::EchoClient;
use crate::echo::{Message, RepeatRequest};
use crate::process::{cpu, pin};

/// Takes orders from the standard input: what, the size of a message, how many calls at a time, how often. Answers with the processor
/// time and the time that it took, in microseconds.
pub(crate) fn run(stack: Stack, address: &str) {
    pin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let uri = format!("http://{address}");
    match stack {
        Stack::Alts => {
            let client = Client::builder(uri.parse().expect("a URI")).connect();
            let client = runtime.block_on(client).expect("a connection");
            orders(&runtime, &EchoClient::new(Channel::from(client)));
        }
        Stack::Hyper => {
            let endpoint = tonic::transport::Endpoint::from_shared(uri).expect("a URI");
            let channel = runtime.block_on(endpoint.connect()).expect("a connection");
            orders(&runtime, &EchoClient::new(channel));
        }
    }
}

fn orders<T>(runtime: &tokio::runtime::Runtime, client: &EchoClient<T>)
where
    T: GrpcService<Body> + Clone + Send + 'static,
    T::Error: Into<StdError>,
    T::Future: Send,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("an order");
        let words: Vec<&str> = line.split(' ').collect();
        let [what, size, in_flight, count] = words[..] else { panic!("{line:?} is no order") };
        let number = |word: &str| word.parse::<u32>().expect("a number");
        let message = Message { payload: vec![0x5A; number(size) as usize].into() };
        let (in_flight, count) = (number(in_flight), number(count));
        let (used, begun) = (cpu(), Instant::now());
        runtime.block_on(async {
            match what {
                "unary" => unary(client, &message, in_flight, count).await,
                "repeat" => repeat(client.clone(), message, count).await,
                "join" => join(client.clone(), message, count).await,
                other => panic!("nothing is called {other}"),
            }
        });
        println!("{} {}", cpu() - used, begun.elapsed().as_micros());
    }
}

async fn unary<T>(client: &EchoClient<T>, message: &Message, in_flight: u32, count: u32)
where
    T: GrpcService<Body> + Clone + Send + 'static,
    T::Error: Into<StdError>,
    T::Future: Send,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
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

async fn repeat<T>(mut client: EchoClient<T>, message: Message, times: u32)
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    let request = RepeatRequest { message: Some(message), times };
    let mut answers = client.repeat(request).await.expect("an answer").into_inner();
    let mut count = 0;
    while answers.message().await.expect("a message").is_some() {
        count += 1;
    }
    assert_eq!(count, times, "messages are missing");
}

async fn join<T>(mut client: EchoClient<T>, message: Message, times: u32)
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    let messages = tokio_stream::iter(std::iter::repeat_n(message, times as usize));
    let answer = client.join(messages).await.expect("an answer").into_inner();
    assert_eq!(answer.payload[..], times.to_be_bytes(), "messages are missing");
}
