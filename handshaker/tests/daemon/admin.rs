//! What can be seen of a daemon from outside.

use alts_handshaker::Role;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::daemon::{Daemon, Files, HalfWay, eventually, get, handshake, health, start, step};

fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find(|line| line.rsplit_once(' ').unwrap_or_default().0 == series);
    line.unwrap_or_else(|| panic!("no {series} in\n{metrics}"))
        .rsplit_once(' ')
        .unwrap()
        .1
        .parse()
        .unwrap()
}

#[tokio::test]
async fn metrics() {
    let files = Files::new();
    let daemon = Daemon::usual(&files);
    let handshaker = daemon.remote();
    for _ in 0..3 {
        handshake(&handshaker, &handshaker).await.unwrap();
    }
    step(&mut start(&handshaker, Role::Server), b"PRI * HTTP/2.0").await.unwrap_err();
    let half_way = HalfWay::reach(&handshaker, &handshaker).await.unwrap();

    let metrics = daemon.metrics();
    for role in ["client", "server"] {
        let of =
            |name: &str| value(&metrics, &format!("alts_handshaker_{name}{{role=\"{role}\"}}"));
        assert!((of("handshakes_total") - 3.0).abs() < 0.1);
        assert!((of("handshake_seconds_count") - 3.0).abs() < 0.1);
        assert!(of("handshake_seconds_sum") > 0.0);
    }
    let failures =
        "alts_handshaker_handshake_failures_total{role=\"server\",reason=\"foreign_protocol\"}";
    assert!((value(&metrics, failures) - 1.0).abs() < 0.1);
    assert!((value(&metrics, "alts_handshaker_in_flight") - 2.0).abs() < 0.1);
    assert!((value(&metrics, "alts_handshaker_connections") - 1.0).abs() < 0.1);
    let certificate = files.text("cart/chain.pem");
    let expiry = format!(
        "alts_handshaker_identity_expiry_timestamp_seconds{{certificate=\"{certificate}\"}}"
    );
    assert!(value(&metrics, &expiry) > 1.7e9);
    assert!(metrics.contains("handshake_seconds_bucket{le=\"0.0005\",role=\"client\"}"));
    assert!(metrics.ends_with("# EOF\n"));

    // No names, no addresses of peers.
    assert!(!metrics.contains("spiffe://"));
    drop(half_way);
    eventually(|| value(&daemon.metrics(), "alts_handshaker_in_flight") < 0.1).await;
}

#[tokio::test]
async fn other_requests() {
    let files = Files::new();
    let daemon = Daemon::usual(&files);
    let admin = daemon.admin.clone().unwrap();
    for (method, path, status) in [
        ("GET", "/metrics", "200"),
        ("GET", "/health", "200"),
        ("GET", "/livez", "200"),
        ("GET", "/readyz", "200"),
        ("GET", "/", "404"),
        ("POST", "/metrics", "405"),
    ] {
        let (head, _) = get(&admin, method, path);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {head}");
    }
    let (head, _) = get(&admin, "GET", "/metrics");
    assert!(head.contains("application/openmetrics-text"), "{head}");
}

/// For Prometheus and the kubelet, which are elsewhere: the pages, and nothing of the service.
#[tokio::test]
async fn pages_that_other_machines_reach() {
    let files = Files::new();
    let addresses = ["--listen", files.socket(), "--admin", "0.0.0.0:0", "--unsafe-admin"];
    let daemon = Daemon::start(&files.usual(), &addresses);
    let admin = daemon.admin.clone().unwrap();
    let (_, port) = admin.strip_prefix("0.0.0.0").unwrap().split_once(':').unwrap();
    let admin = format!("127.0.0.1:{port}");
    let (head, metrics) = get(&admin, "GET", "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 ") && metrics.ends_with("# EOF\n"), "{head}");
    let (head, _) = get(&admin, "POST", "/grpc.gcp.HandshakerService/DoHandshake");
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
}

#[tokio::test]
async fn health_by_grpc() {
    let files = Files::new();
    let listen = ["--listen", files.socket(), "--listen", "127.0.0.1:0"];
    let mut daemon = Daemon::start(&files.usual(), &listen);
    for address in &daemon.addresses {
        assert_eq!(health(address), (true, String::new()));
    }
    let channel =
        Endpoint::from_shared(files.socket().to_owned()).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    for service in ["", "grpc.gcp.HandshakerService"] {
        let request = HealthCheckRequest { service: service.into() };
        let status = client.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving);
    }

    // Who watches learns of the end, and does not keep it from coming.
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let status = watch.message().await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::Serving);
    daemon.signal("-TERM");
    let status = watch.message().await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::NotServing);
    assert!(daemon.ended().await.success());
    let (well, text) = health(files.socket());
    assert!(!well && text.contains("No such file"), "{text}");
}

#[tokio::test]
async fn watchers_are_counted() {
    let files = Files::new();
    let listen = ["--listen", files.socket(), "--listen", "127.0.0.1:0"];
    let daemon = Daemon::start(&files.usual(), &listen);
    let client = async |address: String| {
        HealthClient::new(Endpoint::from_shared(address).unwrap().connect().await.unwrap())
    };
    let mut client_by_tcp = client(format!("http://{}", daemon.addresses[1])).await;
    let mut client = client(files.socket().to_owned()).await;
    let mut watchers = Vec::new();
    let refused = loop {
        match client.watch(HealthCheckRequest::default()).await {
            Ok(watcher) => watchers.push(watcher),
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert_eq!(watchers.len(), 16);
    // Another caller has a share of its own.
    client_by_tcp.watch(HealthCheckRequest::default()).await.unwrap();
    watchers.clear();
    // And handshakes have nothing to do with it.
    handshake(&daemon.remote(), &daemon.remote()).await.unwrap();
}
