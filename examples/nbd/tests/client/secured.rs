//! Through ALTS and TLS, by URI.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::Policy;
use alts::{Acceptor, Connector};
use alts_nbd::backend::MemoryBackend;
use alts_nbd::client::{Dialer, Error};
use alts_nbd::export::{Export, Exports};
use alts_nbd::server::{Server, Settings};
use alts_nbd::wire::flags::CommandFlags;
use tokio::net::UnixListener;

use super::requests::pattern;

fn exports() -> Exports {
    let mut exports = Exports::new();
    exports.add(Export::new("disk", Arc::new(MemoryBackend::new(1 << 22))).unwrap()).unwrap();
    exports
}

async fn assert_works(dialer: Dialer) {
    let client = dialer.connect().await.unwrap();
    let data = pattern(0, 1 << 20);
    client.write_from(4096, &data, CommandFlags::FUA).await.unwrap();
    let mut back = vec![0; data.len()];
    client.read_into(4096, &mut back).await.unwrap();
    assert!(back == data);
    client.disconnect().await.unwrap();
}

fn uri(scheme: &str, socket: &Path, more: &str) -> alts_nbd::client::Uri {
    format!("{scheme}:///disk?socket={}{more}", socket.display()).parse().unwrap()
}

#[tokio::test]
async fn alts() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let now = SystemTime::now();
    let ca = DevCa::new(now).unwrap();
    let identity = |name: &str| {
        ca.issue(&format!("spiffe://dev.local/{name}"), now).unwrap().identity(now).unwrap()
    };
    let policy = |name: &str| Policy::from_rules([format!("spiffe://dev.local/{name}")]).unwrap();
    let handshaker = LocalHandshaker::builder(identity("server")).client_policy(policy("client"));
    let acceptor = Acceptor::new(handshaker.build());
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let server = Server::new(Settings::default());
        while let Ok((stream, _)) = listener.accept().await {
            let (server, acceptor) = (server.clone(), acceptor.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = server.serve(stream, exports()).await;
                }
            });
        }
    });
    let connector = |server: &str| {
        let handshaker = LocalHandshaker::builder(identity("client"));
        Connector::new(handshaker.server_policy(policy(server)).build())
    };
    let dialer = Dialer::new(uri("nbd+alts+unix", &socket, ""));
    assert!(matches!(dialer.connect().await, Err(Error::Usage(_))), "an identity is missing");
    assert_works(dialer.clone().alts(connector("server"))).await;
    let other = dialer.alts(connector("other")).connect().await;
    assert!(matches!(other, Err(Error::Secure(_))), "{other:?}");
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls() {
    use alts_nbd::server::Tls;
    use tokio_rustls::rustls::{ServerConfig, crypto};

    let directory = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["nbd.example".to_owned()]).unwrap();
    std::fs::write(directory.path().join("ca-cert.pem"), signed.cert.pem()).unwrap();
    let key = signed.signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let mut settings = Settings::default();
    settings.tls = Some(Tls { acceptor: Arc::new(config).into(), required: true });
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let server = Server::new(settings);
        while let Ok((stream, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move { server.serve(stream, exports()).await });
        }
    });
    let certificates = format!("&tls-certificates={}", directory.path().display());
    let named = format!("{certificates}&tls-hostname=nbd.example");
    assert_works(Dialer::new(uri("nbds+unix", &socket, &named))).await;
    let other = Dialer::new(uri("nbds+unix", &socket, &certificates)).connect().await;
    assert!(matches!(other, Err(Error::Tls { .. })), "it is for another name: {other:?}");
    let nowhere = "&tls-certificates=/nonexistent";
    let nowhere = Dialer::new(uri("nbds+unix", &socket, nowhere)).connect().await.unwrap_err();
    assert_eq!(nowhere.fault(), alts::Fault::Local, "{nowhere}");
    let none = Dialer::new(uri("nbds+unix", &socket, "")).connect().await;
    assert!(matches!(none, Err(Error::Usage(_))), "{none:?}");
    let plain = Dialer::new(uri("nbd+unix", &socket, "")).connect().await;
    let plain = plain.unwrap_err().to_string();
    assert!(plain.contains("insists on TLS"), "{plain}");
}
