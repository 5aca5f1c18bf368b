//! Clients that break the rules. None of them costs the server more than a connection.

use std::time::Duration;

use alts_nbd::negotiation::{
    MAX_ALL_DATA, MAX_OPTION_DATA, MAX_OPTIONS, MAX_SKIPPED_DATA, Refused,
};
use alts_nbd::server::{ConnectionError, Ending, Server, Settings};
use alts_nbd::wire::Malformed;
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::option::{OptionHeader, number};
use alts_nbd::wire::request::{Command, Request};
use tokio::io::AsyncWriteExt as _;

use super::raw::{Client, MIB, pattern_exports, server, until};

/// How the server ended it; the client's end is closed if it does not end by itself.
async fn end(client: Client) -> Result<Ending, ConnectionError> {
    drop((client.reader, client.writer));
    client.served.await.expect("no panic")
}

#[tokio::test]
async fn flags_that_nobody_offered() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    for flags in [[0, 0, 0, 4], [0x80, 0, 0, 3], [0xff; 4], *b"GET "] {
        let mut client = Client::silent(&server, &exports);
        client.send(&flags).await;
        // The hello comes first.
        tokio::io::AsyncReadExt::read_exact(&mut client.reader, &mut [0; 18]).await.unwrap();
        assert!(client.is_closed().await);
        let error = end(client).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Refused(Refused::Malformed(_))), "{error}");
    }
}

#[tokio::test]
async fn options_of_a_client_that_is_not_fixed_newstyle() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    let mut client = Client::silent(&server, &exports);
    client.send(&[0; 4]).await;
    client.send(&OptionHeader { number: number::LIST, len: 0 }.encode()).await;
    tokio::io::AsyncReadExt::read_exact(&mut client.reader, &mut [0; 18]).await.unwrap();
    assert!(client.is_closed().await);
    let error = end(client).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Refused(Refused::NotFixed)), "{error}");
}

#[tokio::test]
async fn options_out_of_step() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    let mut client = Client::greeted(&server, &exports).await;
    client.send(&[0x55; 16]).await;
    assert!(client.is_closed().await);
    let error = end(client).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Malformed(Malformed::Magic(_))), "{error}");
}

#[tokio::test]
async fn names_of_four_gigabytes() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    for number in [number::EXPORT_NAME, number::GO, number::SET_META_CONTEXT, 99] {
        for len in [u32::MAX, MAX_SKIPPED_DATA + 1] {
            let mut client = Client::greeted(&server, &exports).await;
            client.send(&OptionHeader { number, len }.encode()).await;
            assert!(client.is_closed().await);
            let error = end(client).await.unwrap_err();
            let ConnectionError::Refused(Refused::TooMuchData(found)) = error else {
                panic!("{error}")
            };
            assert_eq!(found, len);
        }
    }
}

#[tokio::test]
async fn a_flood_of_options() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    let mut client = Client::greeted(&server, &exports).await;
    for _ in 0..MAX_OPTIONS {
        client.option(99, b"").await;
    }
    client.send(&OptionHeader { number: 99, len: 0 }.encode()).await;
    assert!(client.is_closed().await);
    let error = end(client).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Refused(Refused::TooManyOptions)), "{error}");
}

#[tokio::test]
async fn a_flood_of_options_with_data() {
    // What is looked at, and what is only read away.
    for len in [MAX_OPTION_DATA, MAX_SKIPPED_DATA] {
        let (server, exports) = (server(MIB), pattern_exports(MIB));
        let mut client = Client::greeted(&server, &exports).await;
        let data = vec![b'x'; len as usize];
        for _ in 0..MAX_ALL_DATA / len {
            client.option(99, &data).await;
        }
        client.send(&OptionHeader { number: 99, len: 1 }.encode()).await;
        assert!(client.is_closed().await);
        let error = end(client).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Refused(Refused::TooMuchInAll)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_options_has_no_more_time_than_one() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    let (near, far) = tokio::io::duplex(1000);
    let serving = server.clone();
    let served = tokio::spawn(async move { serving.serve(far, exports).await });
    let mut client = Client::on(near, served).await;
    // A little more often than every second, each of them answered: it goes on for ten seconds.
    let mut answered = 0;
    while answered < 100 {
        tokio::time::sleep(Duration::from_millis(990)).await;
        let header = OptionHeader { number: 99, len: 0 }.encode();
        if client.writer.write_all(&header).await.is_err() {
            break;
        }
        let mut reply = [0; 20];
        if tokio::io::AsyncReadExt::read_exact(&mut client.reader, &mut reply).await.is_err() {
            break;
        }
        answered += 1;
    }
    assert_eq!(answered, 10);
    let error = client.served.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectionError::HandshakeTimeout), "{error}");
}

#[tokio::test]
async fn slow_handshakes_end() {
    let mut settings = Settings::default();
    settings.handshake_timeout = Duration::from_millis(50);
    let (server, exports) = (Server::new(settings), pattern_exports(MIB));
    let beginnings: [&[u8]; 4] =
        [b"", b"\0\0\0\x03", b"\0\0\0\x03IHAVEOPT", b"\0\0\0\x03IHAVEOPT\0\0\0\x07\0\0\0\x10xxx"];
    for beginning in beginnings {
        let mut client = Client::silent(&server, &exports);
        client.send(beginning).await;
        let error = (&mut client.served).await.unwrap().unwrap_err();
        assert!(matches!(error, ConnectionError::HandshakeTimeout), "{error}");
    }
    // Transmission has no such limit.
    let mut settings = Settings::default();
    settings.handshake_timeout = Duration::from_secs(3600);
    let server = Server::new(settings);
    let mut client = Client::ready(&server, &exports).await;
    client.assert_alive().await;
}

#[tokio::test]
async fn requests_out_of_step() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    // Magic numbers of replies and of what is reserved.
    for magic in [0_u32, 0x6744_6698, 0x668e_33ef, 0x1256_0953, 0x21e4_1c71, 0x2560_9514] {
        let mut client = Client::ready(&server, &exports).await;
        let request = Request {
            flags: CommandFlags::NONE,
            command: Command::Read,
            cookie: 1,
            offset: 0,
            len: 512,
        };
        let mut bytes = request.encode();
        bytes[..4].copy_from_slice(&magic.to_be_bytes());
        client.send(&bytes).await;
        assert!(client.is_closed().await);
        let error = end(client).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Malformed(Malformed::Magic(_))), "{error}");
    }
}

#[tokio::test]
async fn writes_above_what_anybody_may_send() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    for len in [(32 << 20) + 1, u32::MAX as usize] {
        let mut client = Client::ready(&server, &exports).await;
        client.request(Command::Write, CommandFlags::NONE, 0, len).await;
        assert!(client.is_closed().await);
        let error = end(client).await.unwrap_err();
        assert!(matches!(error, ConnectionError::PayloadTooLarge(_)), "{error}");
    }
}

#[tokio::test]
async fn ends_in_the_middle() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    let request = Request {
        flags: CommandFlags::NONE,
        command: Command::Write,
        cookie: 1,
        offset: 0,
        len: 1000,
    };
    for len in [1, 27, 28, 29, 1027] {
        let mut client = Client::ready(&server, &exports).await;
        let bytes = [&request.encode()[..], &[0; 1000]].concat();
        client.send(&bytes[..len]).await;
        client.writer.shutdown().await.unwrap();
        assert!(client.is_closed().await);
        let error = end(client).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Io(_)), "{len}: {error}");
    }
    // A refused write's payload as well.
    let mut client = Client::ready(&server, &exports).await;
    let beyond = Request { offset: u64::MAX, ..request };
    client.send(&beyond.encode()).await;
    client.writer.shutdown().await.unwrap();
    assert!(client.is_closed().await);
    assert!(end(client).await.is_err());
}

#[tokio::test]
async fn a_client_that_writes_and_never_reads_is_held_up_and_costs_nothing() {
    let (server, exports) = (server(MIB), pattern_exports(MIB));
    let mut client = Client::ready(&server, &exports).await;
    let request = Request {
        flags: CommandFlags::NONE,
        command: Command::Read,
        cookie: 1,
        offset: 0,
        len: MIB as u32,
    };
    // Until the server reads no more: as many as it takes, and what the sockets take.
    let sending = tokio::spawn(async move {
        while client.writer.write_all(&request.encode()).await.is_ok() {}
        drop(client);
    });
    until(|| server.figures().in_flight == 64).await;
    until(|| server.pool().stats().in_use_bytes == 0 && server.figures().released > 0).await;
    assert_eq!(server.figures().requests, 64);
    sending.abort();
    until(|| server.figures().open == 0).await;
    assert_eq!(server.figures().in_flight, 0);
}
