//! What is done with a connection.

use std::error::Error;
use std::fmt::Write as _;
use std::time::SystemTime;

use alts::AltsStream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ask::Ask;
use crate::report;

/// Writes what is asked for, then sends back what arrives until the peer ends its direction.
pub(crate) async fn records(ask: &Ask, mut stream: AltsStream<TcpStream>) -> Value {
    let mut answer = report::negotiated(&stream);
    let mut received = 0;
    let end = match exchange(ask, &mut stream, &mut received).await {
        Ok(()) => json!({
            "stage": "end",
            "end": if stream.peer_closed_authenticated() { "authenticated" } else { "plain" },
        }),
        Err(error) => report::failure("records", &error.into()),
    };
    answer["received"] = received.into();
    if let (Value::Object(answer), Value::Object(end)) = (&mut answer, end) {
        answer.extend(end);
    }
    answer
}

async fn exchange(
    ask: &Ask,
    stream: &mut AltsStream<TcpStream>,
    received: &mut u64,
) -> std::io::Result<()> {
    // One record for each write that fits one.
    let (count, size) = ask.writes;
    let content = vec![b'w'; size];
    for _ in 0..count {
        stream.write_all(&content).await?;
    }
    stream.flush().await?;
    let mut buf = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut buf).await?;
        if count == 0 {
            break;
        }
        *received += count as u64;
        if ask.work == "echo" {
            stream.write_all(&buf[..count]).await?;
            stream.flush().await?;
        }
    }
    stream.shutdown().await
}

/// A handshake without a stream, to show the keys that come out of it.
pub(crate) async fn keys(ask: &Ask, mut io: TcpStream) -> Result<Value, Box<dyn Error>> {
    let mut handshake = ask.handshaker.handshake(ask.role, &ask.options)?;
    let mut received = Vec::new();
    loop {
        let mut out = Vec::new();
        let step = handshake.step(&received, SystemTime::now(), &mut out);
        io.write_all(&out).await?;
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                let name = report::handshake_name(&error);
                return Ok(json!({ "stage": "handshake", "error": name }));
            }
        };
        if let Some(result) = step.result {
            return Ok(json!({
                "stage": "end",
                "key_data": hex(result.key_data.as_bytes()),
                "log_id": hex(&result.log_id),
                "left_over": hex(&received[step.consumed..]),
            }));
        }
        received.clear();
        if io.read_buf(&mut received).await? == 0 {
            return Err("the stream ended inside the handshake".into());
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
