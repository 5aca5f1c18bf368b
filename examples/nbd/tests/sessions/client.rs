//! The client as the one of each session: it asks what that client asked, gets what that server answered, and understands it.

use std::collections::HashMap;

use alts_nbd::client::{Client, Error, Settings};
use alts_nbd::wire::Errno;
use alts_nbd::wire::hello::Hello;
use alts_nbd::wire::option::{OptionHeader, number};
use alts_nbd::wire::option_reply::{
    EXPORT_NAME_PADDING, ExportInfo, OptionError, OptionReplyHeader, ReplyType, put_reply,
};
use alts_nbd::wire::reply::ReplyHeader;
use alts_nbd::wire::request::{Command, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::captured::{Session, Side, sessions};
use super::transcript::{Answer, Transcript};

#[tokio::test]
async fn the_client_understands_every_server() {
    let (mut opened, mut compared) = (0, 0);
    for session in sessions() {
        let (client, server) = (session.sent_by(Side::Client), session.sent_by(Side::Server));
        // Servers that insist on TLS open nothing, and this client asks for one context only.
        if session.name.starts_with("tls-") || session.name == "qemu-errors" {
            continue;
        }
        let transcript = Transcript::new(&client, &server);
        let opens = transcript.options.iter().any(|(option, replies)| match *option {
            number::EXPORT_NAME => true,
            number::GO => replies.last().is_some_and(|(reply, _)| *reply == ReplyType::Ack),
            _ => false,
        });
        if opens {
            opened += 1;
            compared += replay(&session, &transcript).await;
        }
    }
    assert!(opened >= 15 && compared >= 40, "{opened} sessions, {compared} requests");
}

async fn replay(session: &Session, transcript: &Transcript) -> usize {
    let (near, mut far) = UnixStream::pair().unwrap();
    let opening = tokio::spawn(Client::over(near, "", Settings::default()));
    handshake(&mut far, session, transcript).await;
    let client = opening.await.unwrap().expect(session.name);
    let replies = replies(session, transcript);
    let mut compared = 0;
    for (nth, (request, answer)) in transcript.requests.iter().enumerate() {
        let mut asking = tokio::spawn(ask(client.clone(), *request));
        let mut bytes = [0; Request::LEN];
        let sent = tokio::select! {
            // What this client does not send, it refuses by itself.
            result = &mut asking => {
                assert!(matches!(result.unwrap(), Err(Error::Usage(_)) | Ok(_)), "{request:?}");
                false
            }
            read = far.read_exact(&mut bytes) => {
                read.unwrap();
                true
            }
        };
        if !sent {
            continue;
        }
        let ours = Request::decode(&bytes).unwrap();
        assert_eq!(Request { cookie: request.cookie, ..ours }, *request, "{}", session.name);
        far.read_exact(&mut vec![0; ours.payload_len() as usize]).await.unwrap();
        let mut reply = replies[&nth].clone();
        for frame in &mut reply {
            frame[8..16].copy_from_slice(&ours.cookie.to_be_bytes());
        }
        far.write_all(&reply.concat()).await.unwrap();
        let found = match asking.await.unwrap() {
            Ok(found) => found,
            Err(error) => {
                let error = error.errno().map(Errno::code);
                assert!(error.is_some(), "{}: {request:?}", session.name);
                Answer { error, ..Answer::default() }
            }
        };
        let expected = Answer { chunks: 0, ..answer.clone() };
        match expected.error {
            Some(_) => assert_eq!(found.error, expected.error, "{}: {request:?}", session.name),
            None => assert!(found == expected, "{}: {request:?}", session.name),
        }
        compared += 1;
    }
    compared
}

/// Answers options as the session's server did, and what the session's client did not ask as one that does not know it.
async fn handshake(far: &mut UnixStream, session: &Session, transcript: &Transcript) {
    let hello = &session.sent_by(Side::Server)[..Hello::LEN];
    far.write_all(hello).await.unwrap();
    let mut flags = [0; 4];
    far.read_exact(&mut flags).await.unwrap();
    loop {
        let mut header = [0; OptionHeader::LEN];
        far.read_exact(&mut header).await.unwrap();
        let header = OptionHeader::decode(&header).unwrap();
        far.read_exact(&mut vec![0; header.len as usize]).await.unwrap();
        let mut out = Vec::new();
        let known = transcript.options.iter().rev().find(|(option, _)| *option == header.number);
        let mut opened = false;
        match known {
            Some((number::EXPORT_NAME, replies)) => {
                out.extend(&replies[0].1);
                out.extend(vec![0; if flags[3] & 2 == 0 { EXPORT_NAME_PADDING } else { 0 }]);
                opened = true;
            }
            Some((option, replies)) => {
                for (reply, data) in replies {
                    put_reply(&mut out, *option, *reply, data);
                }
                opened = *option == number::GO && ends_well(replies);
            }
            None => {
                let unknown = ReplyType::Error(OptionError::Unsupported);
                put_reply(&mut out, header.number, unknown, b"");
            }
        }
        far.write_all(&out).await.unwrap();
        if opened {
            return;
        }
    }
}

fn ends_well(replies: &[(ReplyType, Vec<u8>)]) -> bool {
    replies.last().is_some_and(|(reply, _)| *reply == ReplyType::Ack)
}

/// The frames that answered each request.
fn replies(session: &Session, transcript: &Transcript) -> HashMap<usize, Vec<Vec<u8>>> {
    let server = session.sent_by(Side::Server);
    let client = session.sent_by(Side::Client);
    let padded = client[3] & 2 == 0;
    let options = transcript.options.iter().map(|(option, replies)| match *option {
        number::EXPORT_NAME => ExportInfo::LEN + if padded { EXPORT_NAME_PADDING } else { 0 },
        _ => replies.iter().map(|(_, data)| OptionReplyHeader::LEN + data.len()).sum(),
    });
    let mut rest = &server[Hello::LEN + options.sum::<usize>()..];
    let mut complete: HashMap<u64, usize> = HashMap::new();
    let mut frames: HashMap<usize, Vec<Vec<u8>>> = HashMap::new();
    while let Some((magic, _)) = rest.split_first_chunk::<4>() {
        let len = ReplyHeader::len_of(*magic).unwrap();
        let header = ReplyHeader::decode(&rest[..len]).unwrap();
        let (cookie, done) = match header {
            ReplyHeader::Simple(reply) => (reply.cookie, true),
            ReplyHeader::Chunk(chunk) => (chunk.cookie, chunk.done),
        };
        let before = complete.entry(cookie).or_default();
        let mut same = transcript.requests.iter().enumerate();
        let (nth, (request, _)) = same
            .by_ref()
            .filter(|(_, (request, _))| request.cookie == cookie)
            .nth(*before)
            .unwrap();
        let more = match header {
            ReplyHeader::Chunk(chunk) => chunk.len,
            ReplyHeader::Simple(reply)
                if reply.error.is_none() && request.command == Command::Read =>
            {
                request.len
            }
            ReplyHeader::Simple(_) => 0,
        };
        let (frame, behind) = rest.split_at(len + more as usize);
        frames.entry(nth).or_default().push(frame.to_vec());
        rest = behind;
        *before += usize::from(done);
    }
    frames
}

/// Has the client ask the same.
async fn ask(client: Client, request: Request) -> Result<Answer, Error> {
    let (offset, flags) = (request.offset, request.flags);
    let range = offset..offset + u64::from(request.len);
    let mut answer = Answer::default();
    match request.command {
        Command::Read => {
            answer.data = client.read_with(offset, request.len as usize, flags).await?.to_vec();
        }
        Command::Write => client.write(offset, vec![0; request.len as usize], flags).await?,
        Command::Flush => client.flush().await?,
        Command::Trim => client.trim(range, flags).await?,
        Command::Cache => client.cache(range).await?,
        Command::WriteZeroes => client.zero(range, flags).await?,
        Command::BlockStatus => {
            let extents = client.block_status(offset, request.len, flags).await?;
            answer.extents = extents.iter().map(|extent| (extent.len, extent.flags.0)).collect();
        }
        _ => {}
    }
    Ok(answer)
}
