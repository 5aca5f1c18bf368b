//! STARTTLS.

#![cfg(feature = "tls")]

use std::sync::Arc;

use alts_nbd::export::Exports;
use alts_nbd::server::{Server, Settings, Tls};
use alts_nbd::wire::option::{OptionHeader, encode_info_request, number};
use alts_nbd::wire::option_reply::{OptionError, ReplyType};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};

use super::raw::{Client, MIB, pattern_exports};

fn secured(required: bool) -> (Server, Exports, TlsConnector) {
    let signed = rcgen::generate_simple_self_signed(["nbd.example".to_owned()]).expect("a name");
    let provider = Arc::new(crypto::ring::default_provider());
    let key = signed.signing_key.serialize_der().try_into().expect("a key");
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the defaults")
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the defaults")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut settings = Settings::default();
    settings.tls = Some(Tls { acceptor: Arc::new(server).into(), required });
    (Server::new(settings), pattern_exports(MIB), Arc::new(client).into())
}

#[tokio::test]
async fn everything_but_abort_waits_for_tls() {
    let (server, exports, _) = secured(true);
    let mut client = Client::greeted(&server, &exports).await;
    for number in [number::LIST, number::GO, number::STRUCTURED_REPLY, 11, 99] {
        let replies = client.option(number, b"whatever").await;
        assert_eq!(replies.last().unwrap().0, ReplyType::Error(OptionError::TlsRequired));
    }
    assert_eq!(client.option(number::ABORT, b"").await.last().unwrap().0, ReplyType::Ack);
    let mut client = Client::greeted(&server, &exports).await;
    client.send(b"IHAVEOPT\0\0\0\x01\0\0\0\x04disk").await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn what_was_agreed_before_tls_is_forgotten() {
    let (server, exports, connector) = secured(false);
    let mut client = Client::greeted(&server, &exports).await;
    client.option(number::STRUCTURED_REPLY, b"").await;
    assert_eq!(client.option(number::STARTTLS, b"").await.last().unwrap().0, ReplyType::Ack);
    let mut client = client.through(&connector, "nbd.example").await;
    let again = client.option(number::STARTTLS, b"").await;
    assert_eq!(again.last().unwrap().0, ReplyType::Error(OptionError::Invalid));
    let replies = client.option(number::INFO, &encode_info_request("disk", &[])).await;
    // The last two bytes of size and flags: no DF.
    assert_eq!(replies[0].1[10..], [0x0d, 0x6d]);
    let mut client = client.agree().await;
    client.assert_alive().await;
    client.disconnect().await;
}

#[tokio::test]
async fn bytes_in_clear_behind_starttls_do_not_count() {
    let (server, exports, _) = secured(true);
    let mut client = Client::greeted(&server, &exports).await;
    let go = encode_info_request("disk", &[]);
    let header = |number, len| OptionHeader { number, len }.encode();
    let all = [&header(number::STARTTLS, 0)[..], &header(number::GO, go.len() as u32)[..], &go];
    client.send(&all.concat()).await;
    assert_eq!(client.option_replies(number::STARTTLS).await.last().unwrap().0, ReplyType::Ack);
    // At most an alert of TLS, no reply.
    let mut rest = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut client.reader, &mut rest).await;
    assert!(rest.len() < 20, "{rest:02x?}");
    assert!(client.served.await.unwrap().is_err());
}
