//! `mute KIND`: peers that never read. `push` asks for bytes without end; `echo` sends, without end, what is to be sent back. Order: `open N`,
//! answered when all have asked, or when the server has ended all. Then `count`, answered with what had arrived at this end's sockets when
//! the server has ended the connections.

use alts::AltsStream;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::raw::read_to_the_end;
use super::{Work, report};
use crate::service::PUSH;
use crate::target::SEND_BUFFER;

pub(crate) async fn run(mut work: Work) {
    let push = match work.word(0) {
        "push" => true,
        "echo" => false,
        kind => panic!("{kind} is no kind"),
    };
    let connector = work.connector("client");
    report(&json!({}));
    let mut open: Vec<AltsStream<TcpStream>> = Vec::new();
    while let Some(order) = work.order().await {
        if order[0] == "count" {
            let mut reads = JoinSet::new();
            for mut stream in open.drain(..) {
                reads.spawn(async move { read_to_the_end(stream.get_mut()).await.0 });
            }
            let received: u64 = reads.join_all().await.into_iter().sum();
            report(&json!({ "received": received }));
            continue;
        }
        let count: usize = order[1].parse().expect("a number");
        let mut mutes = JoinSet::new();
        for _ in 0..count {
            let (connector, server) = (connector.clone(), work.server);
            mutes.spawn(async move {
                let socket = TcpSocket::new_v4().expect("a socket");
                socket.set_send_buffer_size(SEND_BUFFER).expect("a size");
                let socket = socket.connect(server).await.expect("a connection");
                let mut stream = connector.connect(socket).await.expect("a handshake");
                let mut sent = 0;
                if push {
                    stream.write_all(&[PUSH]).await.expect("one byte is sent");
                    stream.flush().await.expect("one byte is sent");
                    sent = 1;
                } else {
                    // Until the server ends the connection.
                    let chunk = vec![0x5A; 64 << 10];
                    while let Ok(count @ 1..) = stream.write(&chunk).await {
                        sent += count as u64;
                    }
                }
                (stream, sent)
            });
        }
        let mut bytes = 0;
        for (stream, sent) in mutes.join_all().await {
            bytes += sent;
            open.push(stream);
        }
        report(&json!({ "connections": count, "bytes": bytes }));
    }
}
