//! A service with identities of a development authority, and callers who speak its messages themselves.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::identity::{Identity as OwnIdentity, Policy};
use alts_handshaker::proto::handshaker_req::ReqOneof;
use alts_handshaker::proto::handshaker_service_client::HandshakerServiceClient;
use alts_handshaker::proto::handshaker_service_server::{
    HandshakerService as Rpc, HandshakerServiceServer,
};
use alts_handshaker::proto::identity::IdentityOneof;
use alts_handshaker::proto::{
    HandshakeProtocol, HandshakerReq, HandshakerResp, HandshakerResult, HandshakerStatus, Identity,
    NextHandshakeMessageReq, RpcProtocolVersions, ServerHandshakeParameters,
    StartClientHandshakeReq, StartServerHandshakeReq,
};
use alts_handshaker::service::{
    Caller, Finished, HandshakerService, HandshakerServiceBuilder, Observer,
};
use alts_handshaker::{RemoteHandshaker, RpcVersions};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::server::{Connected, Server, UdsConnectInfo};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

pub(crate) const CART: &str = "spiffe://dev.local/cart";
pub(crate) const STOCK: &str = "spiffe://dev.local/stock";

/// What `authority` issues for a name.
pub(crate) fn identity(authority: &DevCa, name: &str) -> Arc<OwnIdentity> {
    let now = SystemTime::now();
    authority.issue(name, now).unwrap().identity(now).unwrap()
}

/// A service for anybody under the name of the cart, which knows its own trust domain.
pub(crate) fn builder() -> HandshakerServiceBuilder {
    let authority = DevCa::new(SystemTime::now()).unwrap();
    HandshakerService::builder()
        .identity(identity(&authority, CART))
        .server_policy(Policy::own_trust_domain())
}

/// A server of gRPC on a socket of its own.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) channel: Channel,
    pub(crate) address: String,
    /// Who the next connection is said to be of.
    pretended: Pretended,
    task: JoinHandle<()>,
    _directory: TempDir,
}

impl Served {
    pub(crate) async fn new(builder: HandshakerServiceBuilder) -> Self {
        Self::of(builder.build().unwrap().into_server()).await
    }

    pub(crate) async fn of(server: HandshakerServiceServer<impl Rpc>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListenerStream::new(UnixListener::bind(&path).unwrap());
        // The first one is this side's own.
        let pretended = Arc::new(Mutex::new(Some(None)));
        let said = Arc::clone(&pretended);
        let incoming =
            listener.map(move |socket| socket.map(|socket| WithCaller(socket, said.clone())));
        let serving = Server::builder().add_service(server).serve_with_incoming(incoming);
        let task = tokio::spawn(async { serving.await.unwrap() });
        let address = format!("unix:{}", path.display());
        let channel = Endpoint::from_shared(address.clone()).unwrap().connect().await.unwrap();
        Self { channel, address, pretended, task, _directory: directory }
    }

    pub(crate) async fn open(&self, first: HandshakerReq) -> Result<Call, Status> {
        Call::open(&self.channel, Some(first)).await
    }

    pub(crate) fn remote(&self) -> RemoteHandshaker {
        RemoteHandshaker::builder(&self.address).build().unwrap()
    }

    /// A connection of somebody else.
    pub(crate) async fn channel_of(&self, caller: Caller) -> Channel {
        eventually(|| self.pretended.lock().unwrap().is_none()).await;
        *self.pretended.lock().unwrap() = Some(Some(caller));
        let channel = Endpoint::from_shared(self.address.clone()).unwrap().connect().await.unwrap();
        eventually(|| self.pretended.lock().unwrap().is_none()).await;
        channel
    }

    /// The status with which a call ends whose first message is this.
    pub(crate) async fn refusal(&self, first: HandshakerReq) -> Status {
        match self.open(first).await {
            Ok(mut call) => call.answer().await.unwrap_err(),
            Err(status) => status,
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Who the next connection is of, if anybody but who it really is of; until it is taken.
type Pretended = Arc<Mutex<Option<Option<Caller>>>>;

/// A connection that says whose it is, as the daemon's do.
struct WithCaller(UnixStream, Pretended);

impl Connected for WithCaller {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        if let Some(caller) = self.1.lock().unwrap().take().flatten() {
            return caller;
        }
        let info: UdsConnectInfo = self.0.connect_info();
        info.peer_cred.map(|peer| Caller::with_uid(peer.uid())).unwrap_or_default()
    }
}

impl tokio::io::AsyncRead for WithCaller {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for WithCaller {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The user who runs these tests.
pub(crate) fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// One stream to a service.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) requests: mpsc::Sender<HandshakerReq>,
    responses: Streaming<HandshakerResp>,
}

impl Call {
    pub(crate) async fn open(
        channel: &Channel,
        first: Option<HandshakerReq>,
    ) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(8);
        if let Some(first) = first {
            requests.try_send(first).unwrap();
        }
        let mut client = HandshakerServiceClient::new(channel.clone());
        let responses = client.do_handshake(ReceiverStream::new(receiver)).await?.into_inner();
        Ok(Self { requests, responses })
    }

    /// The next response, which has to be there, and to be in order.
    pub(crate) async fn answer(&mut self) -> Result<HandshakerResp, Status> {
        let response = self.responses.message().await?.expect("a response");
        assert_eq!(response.status, Some(HandshakerStatus::default()), "in every response");
        Ok(response)
    }

    pub(crate) async fn ask(&mut self, request: HandshakerReq) -> Result<HandshakerResp, Status> {
        let _ = self.requests.send(request).await;
        self.answer().await
    }

    /// The service has ended the stream, and all is well.
    pub(crate) async fn assert_over(&mut self) {
        assert!(self.responses.message().await.unwrap().is_none(), "the stream is over");
    }
}

pub(crate) fn client_start() -> StartClientHandshakeReq {
    StartClientHandshakeReq {
        handshake_security_protocol: HandshakeProtocol::Alts.into(),
        application_protocols: vec!["grpc".into()],
        record_protocols: vec!["ALTSRP_GCM_AES128_REKEY".into()],
        target_name: "stock:443".into(),
        rpc_versions: Some(grpc_versions()),
        max_frame_size: 1_048_576,
        ..Default::default()
    }
}

pub(crate) fn server_start(in_bytes: &[u8]) -> StartServerHandshakeReq {
    let parameters = ServerHandshakeParameters {
        record_protocols: vec!["ALTSRP_GCM_AES128_REKEY".into()],
        ..Default::default()
    };
    StartServerHandshakeReq {
        application_protocols: vec!["grpc".into()],
        handshake_parameters: [(HandshakeProtocol::Alts.into(), parameters)].into(),
        in_bytes: in_bytes.to_vec(),
        rpc_versions: Some(grpc_versions()),
        max_frame_size: 65_536,
        ..Default::default()
    }
}

pub(crate) fn grpc_versions() -> RpcProtocolVersions {
    RpcVersions::GRPC.into()
}

pub(crate) fn service_account(name: &str) -> Identity {
    let identity_oneof = Some(IdentityOneof::ServiceAccount(name.into()));
    Identity { identity_oneof, ..Default::default() }
}

pub(crate) fn client(start: StartClientHandshakeReq) -> HandshakerReq {
    HandshakerReq { req_oneof: Some(ReqOneof::ClientStart(start)) }
}

pub(crate) fn server(start: StartServerHandshakeReq) -> HandshakerReq {
    HandshakerReq { req_oneof: Some(ReqOneof::ServerStart(start)) }
}

pub(crate) fn next(in_bytes: &[u8]) -> HandshakerReq {
    let next = NextHandshakeMessageReq { in_bytes: in_bytes.to_vec(), network_latency_ms: 0 };
    HandshakerReq { req_oneof: Some(ReqOneof::Next(next)) }
}

/// A whole handshake of two callers: the client's result and the server's.
pub(crate) async fn handshake(
    served: &Served,
    client_start: StartClientHandshakeReq,
    server_start: StartServerHandshakeReq,
) -> Result<(HandshakerResult, HandshakerResult), Status> {
    let mut at_client = served.open(client(client_start)).await?;
    let offer = at_client.answer().await?.out_frames;
    let start = StartServerHandshakeReq { in_bytes: offer, ..server_start };
    let mut at_server = served.open(server(start)).await?;
    let answer = at_server.answer().await?.out_frames;
    let finish = at_client.ask(next(&answer)).await?;
    at_client.assert_over().await;
    let done = at_server.ask(next(&finish.out_frames)).await?;
    at_server.assert_over().await;
    Ok((finish.result.expect("the client's result"), done.result.expect("the server's result")))
}

#[track_caller]
pub(crate) fn assert_status(status: &Status, code: Code, text: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(text), "{status:?} does not say {text:?}");
}

/// What an observer is told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) finished: Mutex<Vec<Finished>>,
    pub(crate) started: Mutex<usize>,
}

impl Observer for Told {
    fn started(&self) {
        *self.started.lock().unwrap() += 1;
    }

    fn finished(&self, handshake: &Finished) {
        self.finished.lock().unwrap().push(*handshake);
    }
}

/// Waits until something is so. What never comes to pass ends with the test's patience, not with a guess about time.
pub(crate) async fn eventually(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
