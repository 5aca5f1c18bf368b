//! How a daemon begins, ends, and comes again.

use alts_handshaker::{Error, RemoteHandshaker, Role};

use crate::daemon::{
    CART, Daemon, Files, HalfWay, eventually, handshake, mode, remote, start, step,
};

#[tokio::test]
async fn handshakes_over_every_address() {
    let files = Files::new();
    let listen = ["--listen", files.socket(), "--listen", "127.0.0.1:0", "--listen", "[::1]:0"];
    let daemon = Daemon::start(&files.usual(), &listen);
    assert_eq!(daemon.addresses.len(), 3);
    assert_eq!(daemon.addresses[0], files.socket());
    assert!(!daemon.addresses[1].ends_with(":0"), "the port that was bound");
    for clients in &daemon.addresses {
        for servers in &daemon.addresses {
            let (client, server) = handshake(&remote(clients), &remote(servers)).await.unwrap();
            for result in [client, server] {
                assert_eq!((result.peer.name(), &*result.local), (CART, CART));
            }
        }
    }
}

#[tokio::test]
async fn the_socket_is_not_for_everybody() {
    let files = Files::new();
    let _daemon = Daemon::usual(&files);
    assert_eq!(mode(&files.path("run/handshaker.sock")), 0o660);
    // What the umask of the tests takes away is fine, too.
    assert_eq!(mode(&files.path("run")) & !0o750, 0);
    let wider = ["--listen", &format!("unix:{}", files.text("run/wide.sock"))];
    let _wide = Daemon::start(&files.usual(), &[&wider[..], &["--socket-mode", "0666"]].concat());
    assert_eq!(mode(&files.path("run/wide.sock")), 0o666);
}

#[tokio::test]
async fn a_signal_lets_handshakes_finish() {
    for signal in ["-TERM", "-INT"] {
        let files = Files::new();
        let mut daemon = Daemon::usual(&files);
        let handshaker = daemon.remote();
        let half_way = HalfWay::reach(&handshaker, &handshaker).await.unwrap();
        daemon.signal(signal);
        // The address is free for a successor before this daemon is done.
        eventually(|| !files.path("run/handshaker.sock").exists()).await;
        assert!(!daemon.has_ended());
        let refused = handshake(&handshaker, &handshaker).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable(_)), "{refused}");

        let successor = Daemon::usual(&files);
        half_way.finish().await.unwrap();
        assert!(daemon.ended().await.success());
        assert!(files.path("run/handshaker.sock").exists(), "the successor's");
        handshake(&successor.remote(), &successor.remote()).await.unwrap();
    }
}

#[tokio::test]
async fn a_drain_comes_to_an_end() {
    let files = Files::new();
    let listen = ["--listen", files.socket(), "--shutdown-timeout", "200ms"];
    let mut daemon = Daemon::start(&files.usual(), &listen);
    let mut session = start(&daemon.remote(), Role::Client);
    step(&mut session, &[]).await.unwrap();
    daemon.signal("-TERM");
    assert!(daemon.ended().await.success());
    let given_up = step(&mut session, b"xxx").await.unwrap_err();
    assert!(matches!(given_up, Error::Unavailable(_)), "{given_up}");
}

#[tokio::test]
async fn a_second_signal_ends_the_drain() {
    let files = Files::new();
    let long = ["--shutdown-timeout", "1h", "--idle-timeout", "1h", "--handshake-timeout", "1h"];
    let listen = [&["--listen", files.socket()][..], &long].concat();
    let mut daemon = Daemon::start(&files.usual(), &listen);
    let mut session = start(&daemon.remote(), Role::Client);
    step(&mut session, &[]).await.unwrap();
    daemon.signal("-TERM");
    eventually(|| !files.path("run/handshaker.sock").exists()).await;
    daemon.signal("-TERM");
    assert!(daemon.ended().await.success());
}

#[tokio::test]
async fn a_daemon_that_comes_again() {
    let files = Files::new();
    let handshaker = remote(files.socket());
    let before = handshake(&handshaker, &handshaker).await.unwrap_err();
    assert!(matches!(before, Error::Unavailable(_)), "{before}");

    let mut first = Daemon::usual(&files);
    handshake(&handshaker, &handshaker).await.unwrap();
    let half_way = HalfWay::reach(&handshaker, &handshaker).await.unwrap();
    // Without a farewell: the socket stays behind.
    first.signal("-KILL");
    first.ended().await;
    assert!(files.path("run/handshaker.sock").exists());
    let broken = half_way.finish().await.unwrap_err();
    assert!(matches!(broken, Error::Unavailable(_)), "{broken}");
    let between = handshake(&handshaker, &handshaker).await.unwrap_err();
    assert!(matches!(between, Error::Unavailable(_)), "{between}");

    // What was there before is gone, the handshaker finds the new one by itself.
    let _second = Daemon::usual(&files);
    handshake(&handshaker, &handshaker).await.unwrap();
}

#[tokio::test]
async fn a_restart_that_nobody_noticed() {
    let files = Files::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = ["--listen", &port.to_string()];
    let handshaker = RemoteHandshaker::builder(format!("http://{port}")).build().unwrap();
    for _ in 0..3 {
        let mut daemon = Daemon::start(&files.usual(), &listen);
        handshake(&handshaker, &handshaker).await.unwrap();
        daemon.signal("-TERM");
        assert!(daemon.ended().await.success());
    }
}

#[tokio::test]
async fn systemd_is_told() {
    let files = Files::new();
    let socket = std::os::unix::net::UnixDatagram::bind(files.path("notify")).unwrap();
    let listen = ["--listen", "127.0.0.1:0"];
    let environment = [("NOTIFY_SOCKET", files.text("notify"))];
    let mut daemon = Daemon::start_with(&files.usual(), &listen, &environment);
    let told = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(told(), "READY=1");
    daemon.signal("-TERM");
    assert_eq!(told(), "STOPPING=1");
    assert!(daemon.ended().await.success());
}
