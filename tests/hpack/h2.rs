//! The h2 crate at the other end. Its header compression is private, so whole connections are made, in memory.

use std::future::poll_fn;

use alts::http2::hpack::{Decoder, encode};
use bytes::Bytes;
use h2::{client, server};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::{Field, decode};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn read_frame(io: &mut DuplexStream) -> (u8, u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    io.read_exact(&mut head).await.unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    io.read_exact(&mut payload).await.unwrap();
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    (head[3], head[4], stream, payload)
}

async fn write_frame(io: &mut DuplexStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    io.write_all(&[&head[..], payload].concat()).await.unwrap();
}

/// The next header block, and whether it ends the stream.
async fn read_block(io: &mut DuplexStream) -> Vec<u8> {
    let mut block = Vec::new();
    loop {
        match read_frame(io).await {
            (HEADERS | CONTINUATION, flags, _, payload) => {
                block.extend(payload);
                if flags & END_HEADERS != 0 {
                    return block;
                }
            }
            (SETTINGS, flags, ..) if flags & ACK == 0 => {
                write_frame(io, SETTINGS, ACK, 0, &[]).await;
            }
            _ => {}
        }
    }
}

/// Fields such as calls have, with some that change and some that are long.
fn metadata(call: usize) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert("content-type", HeaderValue::from_static("application/grpc"));
    map.insert("te", HeaderValue::from_static("trailers"));
    map.insert("user-agent", HeaderValue::from_static("tonic/0.14.9"));
    map.insert("grpc-timeout", HeaderValue::from_str(&format!("{}m", call * 7919)).unwrap());
    for at in 0..call % 5 {
        let name = HeaderName::from_bytes(format!("x-{}-bin", at * call % 13).as_bytes()).unwrap();
        let mut value = HeaderValue::from_str(&"Zm9v+/".repeat(call * at % 90)).unwrap();
        value.set_sensitive(call.is_multiple_of(3));
        map.append(name, value);
    }
    map
}

fn fields_of(map: &HeaderMap) -> Vec<Field> {
    map.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().into())).collect()
}

#[tokio::test]
async fn what_h2s_client_encodes_is_decoded() {
    let (near, mut far) = duplex(1 << 20);
    let sending = tokio::spawn(async move {
        let (sender, connection) = client::handshake(near).await.unwrap();
        tokio::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        for call in 0..200 {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let uri = format!("http://example.org:{}/a.Service/Method{}", call % 3, call % 7);
            let mut request = Request::post(uri).body(()).unwrap();
            *request.headers_mut() = metadata(call);
            let (response, _) = sender.send_request(request, true).unwrap();
            // No answer is awaited; dropping it would reset the stream before its head is sent.
            tokio::spawn(response);
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    });

    let mut preface = [0; PREFACE.len()];
    far.read_exact(&mut preface).await.unwrap();
    assert_eq!(preface, PREFACE);
    // Room for all calls, and a table that is not of the usual size.
    let settings = [&[0, 3, 0, 0, 3, 0][..], &[0, 1, 0, 0, 1, 0]].concat();
    write_frame(&mut far, SETTINGS, 0, 0, &settings).await;
    let mut decoder = Decoder::new(4_096);
    for call in 0..200 {
        let block = read_block(&mut far).await;
        let fields = decode(&mut decoder, &block).unwrap();
        let path = format!("/a.Service/Method{}", call % 7);
        assert!(fields.contains(&(b":path".to_vec(), path.into())), "{call}");
        let plain = fields.iter().skip_while(|(name, _)| name.starts_with(b":"));
        assert_eq!(plain.cloned().collect::<Vec<_>>(), fields_of(&metadata(call)), "{call}");
    }
    assert!((1..=4_096).contains(&decoder.allocated()));
    sending.abort();
}

#[tokio::test]
async fn what_is_encoded_here_h2s_server_decodes() {
    let (near, mut far) = duplex(1 << 20);
    let serving = tokio::spawn(async move {
        let mut connection = server::handshake(near).await.unwrap();
        let mut call = 0;
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.uri().to_string(), "http://example.org/a.Service/Method");
            assert_eq!(fields_of(request.headers()), fields_of(&metadata(call)), "{call}");
            let response = Response::builder().status(200).body(()).unwrap();
            let mut body = respond.send_response(response, false).unwrap();
            body.send_data(Bytes::new(), true).unwrap();
            call += 1;
        }
        call
    });
    far.write_all(PREFACE).await.unwrap();
    write_frame(&mut far, SETTINGS, 0, 0, &[]).await;
    let mut decoder = Decoder::new(4_096);
    for call in 0..100 {
        let mut block = Vec::new();
        if call == 50 {
            encode::size_update(&mut block, 0);
        }
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/a.Service/Method"),
            (":authority", "example.org"),
        ] {
            encode::field(&mut block, name.as_bytes(), value.as_bytes());
        }
        for (name, value) in &metadata(call) {
            let (name, value, sensitive) = (name.as_str(), value.as_bytes(), value.is_sensitive());
            let write = if sensitive { encode::sensitive } else { encode::field };
            write(&mut block, name.as_bytes(), value);
        }
        let flags = END_STREAM | END_HEADERS;
        write_frame(&mut far, HEADERS, flags, 2 * call as u32 + 1, &block).await;
        let answer = decode(&mut decoder, &read_block(&mut far).await).unwrap();
        assert_eq!(answer[0], (b":status".to_vec(), b"200".to_vec()));
    }
    drop(far);
    assert_eq!(serving.await.unwrap(), 100);
}
