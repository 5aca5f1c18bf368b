//! Servers of all kinds during the handshake.

use alts_nbd::client::{
    Client, Error, Haggling, Listed, MAX_REPLIES_DATA, MAX_REPLY_DATA, Settings, Violation,
};
use alts_nbd::wire::flags::HandshakeFlags;
use alts_nbd::wire::hello::{Hello, MAGIC, OLDSTYLE_MAGIC};
use alts_nbd::wire::option::number;
use alts_nbd::wire::option_reply::{
    EXPORT_NAME_PADDING, Info, OptionError, OptionReplyHeader, ReplyType, encode_server,
};
use alts_nbd::wire::request::Command;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use super::scripted::{SIZE, Server, export_info, pair, violation};

type Opening = tokio::task::JoinHandle<Result<Client, Error>>;

fn opening(near: UnixStream) -> Opening {
    tokio::spawn(Client::over(near, "disk", Settings::default()))
}

#[tokio::test]
async fn a_server_without_go_is_asked_by_name() {
    for padded in [false, true] {
        let (near, far) = UnixStream::pair().unwrap();
        let mut server = Server(far);
        let all = HandshakeFlags::ALL;
        let flags = if padded { all.without(HandshakeFlags::NO_ZEROES) } else { all };
        server.send(&Hello { flags }.encode()).await;
        let opening = opening(near);
        let mut client_flags = [0; 4];
        server.0.read_exact(&mut client_flags).await.unwrap();
        assert_eq!(client_flags, [0, 0, 0, if padded { 1 } else { 3 }]);
        for expected in [number::STRUCTURED_REPLY, number::GO] {
            let (option, _) = server.option().await;
            assert_eq!(option, expected);
            server.reply(option, ReplyType::Error(OptionError::Unsupported), b"").await;
        }
        assert_eq!(server.option().await, (number::EXPORT_NAME, b"disk".to_vec()));
        server.send(&export_info().encode()).await;
        server.send(&vec![0; if padded { EXPORT_NAME_PADDING } else { 0 }]).await;
        let client = opening.await.unwrap().unwrap();
        assert_eq!((client.size(), client.terms().structured), (SIZE, false));
        tokio::spawn(async move { client.flush().await });
        assert_eq!(server.request().await.0.command, Command::Flush);
    }
}

#[tokio::test]
async fn a_server_without_options_is_asked_by_name() {
    let hello = Hello { flags: HandshakeFlags::NONE };
    for known in [true, false] {
        let (near, far) = UnixStream::pair().unwrap();
        let mut server = Server(far);
        server.send(&hello.encode()).await;
        let opening = opening(near);
        let mut flags = [9; 4];
        server.0.read_exact(&mut flags).await.unwrap();
        assert_eq!(flags, [0; 4]);
        assert_eq!(server.option().await, (number::EXPORT_NAME, b"disk".to_vec()));
        if known {
            server.send(&export_info().encode()).await;
            server.send(&[0; EXPORT_NAME_PADDING]).await;
            assert_eq!(opening.await.unwrap().unwrap().size(), SIZE);
        } else {
            drop(server);
            let error = opening.await.unwrap().unwrap_err();
            assert!(error.to_string().contains("no such export"), "{error}");
        }
    }
    // Nothing else can be asked.
    let (near, far) = UnixStream::pair().unwrap();
    Server(far).send(&hello.encode()).await;
    let mut haggling = Haggling::begin(near).await.unwrap();
    assert!(!haggling.is_fixed() && haggling.list().await.is_err());
    assert!(haggling.start_tls().await.is_err(), "TLS or nothing");
}

#[tokio::test]
async fn other_servers() {
    let oldstyle = [&MAGIC.to_be_bytes()[..], &OLDSTYLE_MAGIC.to_be_bytes(), &[0; 136]].concat();
    for (hello, expected) in [
        (oldstyle, Error::Oldstyle),
        (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), {
            let magic = u64::from_be_bytes(*b"HTTP/1.1");
            Error::Malformed(alts_nbd::wire::Malformed::Magic(magic))
        }),
    ] {
        let (near, far) = UnixStream::pair().unwrap();
        Server(far).send(&hello).await;
        let error = opening(near).await.unwrap().unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(error.fault(), alts::Fault::Incompatible);
    }
}

#[tokio::test]
async fn refusals_tell_why() {
    for (refusing, error) in [
        (number::STRUCTURED_REPLY, OptionError::TlsRequired),
        (number::GO, OptionError::UnknownExport),
        (number::GO, OptionError::Policy),
    ] {
        let (near, mut server) = pair().await;
        let opening = opening(near);
        server.flags().await;
        loop {
            let (option, _) = server.option().await;
            if option == refusing {
                server.reply(option, ReplyType::Error(error), b"because\x1b").await;
                break;
            }
            server.reply(option, ReplyType::Error(OptionError::Unsupported), b"").await;
        }
        let found = opening.await.unwrap().unwrap_err();
        let text = found.to_string();
        assert!(text.starts_with(&error.to_string()) && text.ends_with(r"because\u{1b}"), "{text}");
        assert_eq!(found.fault(), alts::Fault::Refused);
        server.is_dropped().await;
    }
}

/// What opening meets when the first option is answered by this.
async fn answered(answer: &[u8]) -> Error {
    let (near, mut server) = pair().await;
    let opening = opening(near);
    server.flags().await;
    server.option().await;
    server.send(answer).await;
    let error = opening.await.unwrap().unwrap_err();
    server.is_dropped().await;
    error
}

#[tokio::test]
async fn replies_that_break_the_protocol() {
    let header = |option, reply, len| OptionReplyHeader { option, reply, len }.encode();
    let option = number::STRUCTURED_REPLY;
    let found = answered(&header(number::GO, ReplyType::Ack, 0)).await;
    assert_eq!(violation(found), Violation::WrongOption(number::GO));
    let found = answered(&header(option, ReplyType::Ack, MAX_REPLY_DATA + 1)).await;
    assert_eq!(violation(found), Violation::OptionReplyLength(MAX_REPLY_DATA + 1));
    let found = answered(&header(option, ReplyType::Server, 0)).await;
    assert_eq!(violation(found), Violation::WrongOptionReply { option, reply: 2 });
    let found = answered(&header(option, ReplyType::Unknown(77), 0)).await;
    assert_eq!(violation(found), Violation::WrongOptionReply { option, reply: 77 });
    assert!(matches!(answered(&[0; 20]).await, Error::Malformed(_)));
}

#[tokio::test]
async fn an_export_without_a_size() {
    let (near, mut server) = pair().await;
    let opening = opening(near);
    server.flags().await;
    loop {
        let (option, _) = server.option().await;
        if option == number::GO {
            server.reply(option, ReplyType::Info, &Info::Name("disk").encode()).await;
        }
        server.reply(option, ReplyType::Ack, b"").await;
        if option == number::GO {
            break;
        }
    }
    assert_eq!(violation(opening.await.unwrap().unwrap_err()), Violation::NoExportInfo);
}

#[tokio::test]
async fn lists() {
    let (near, mut server) = pair().await;
    let listing = tokio::spawn(async move {
        let mut haggling = Haggling::begin(near).await?;
        let listed = haggling.list().await?;
        haggling.abort().await?;
        Ok::<_, Error>(listed)
    });
    server.flags().await;
    let (option, _) = server.option().await;
    for (name, text) in [("a", "first"), ("", "")] {
        server.reply(option, ReplyType::Server, &encode_server(name, text)).await;
    }
    server.reply(option, ReplyType::Ack, b"").await;
    assert_eq!(server.option().await.0, number::ABORT);
    let listed =
        |name: &str, text: &str| Listed { name: name.to_owned(), description: text.to_owned() };
    assert_eq!(listing.await.unwrap(), Ok(vec![listed("a", "first"), listed("", "")]));
}

#[tokio::test]
async fn lists_without_an_end() {
    let (near, mut server) = pair().await;
    let listing = tokio::spawn(async move { Haggling::begin(near).await?.list().await });
    server.flags().await;
    let (option, _) = server.option().await;
    let entry = encode_server(&"x".repeat(4096), &"y".repeat(4096));
    let most = MAX_REPLIES_DATA / entry.len();
    for _ in 0..=most {
        server.reply(option, ReplyType::Server, &entry).await;
    }
    let found = violation(listing.await.unwrap().unwrap_err());
    assert_eq!(found, Violation::TooManyOptionReplies);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing() {
    let (near, _far) = UnixStream::pair().unwrap();
    let error = Client::over(near, "disk", Settings::default()).await.unwrap_err();
    assert_eq!(error, Error::Timeout);
}

#[tokio::test]
async fn names_that_cannot_be_sent() {
    for name in ["a\0b", &"x".repeat(4097)] {
        let (near, _server) = pair().await;
        let error = Client::over(near, name, Settings::default()).await.unwrap_err();
        assert_eq!(error.fault(), alts::Fault::Local);
    }
}
