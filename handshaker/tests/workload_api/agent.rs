//! An agent that says what a test tells it to.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use alts_handshaker::identity::{Identity, IdentitySource, WorkloadApi, WorkloadApiBuilder};
use futures_util::Stream;
use futures_util::stream::unfold;
use prost::Message;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::messages::{X509BundlesRequest, X509BundlesResponse, X509SvidRequest, X509SvidResponse};

/// What the agent says on a stream, now and to those who come later.
#[derive(Clone, Debug)]
pub(crate) enum Say<T> {
    Answer(T),
    Status(Code),
    Nothing,
}

/// Serves at a socket of its own, on threads of its own.
pub(crate) struct Agent {
    folder: Arc<TempDir>,
    service: Service,
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
}

#[derive(Clone)]
struct Service {
    svids: watch::Sender<Say<X509SvidResponse>>,
    bundles: watch::Sender<Say<X509BundlesResponse>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    calls: AtomicUsize,
    open: AtomicUsize,
}

impl Agent {
    /// An agent that says nothing yet, and knows no bundles.
    pub(crate) fn new() -> Self {
        Self::at(Arc::new(tempfile::tempdir().unwrap()))
    }

    fn at(folder: Arc<TempDir>) -> Self {
        let service = Service {
            svids: watch::Sender::new(Say::Nothing),
            bundles: watch::Sender::new(Say::Status(Code::Unimplemented)),
            counts: Arc::default(),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(folder.path().join("agent.sock")).unwrap()
        };
        let incoming = unfold(listener, async |listener: UnixListener| {
            let accepted = listener.accept().await.map(|(socket, _)| socket);
            Some((accepted, listener))
        });
        let server = tonic::transport::Server::builder().add_service(service.clone());
        runtime.spawn(server.serve_with_incoming(Box::pin(incoming)));
        Self { folder, service, runtime: Some(runtime) }
    }

    /// Ends it, and gives the place where another can begin.
    pub(crate) fn stop(self) -> Stopped {
        let folder = Arc::clone(&self.folder);
        drop(self);
        std::fs::remove_file(folder.path().join("agent.sock")).unwrap();
        Stopped(folder)
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}/agent.sock", self.folder.path().display())
    }

    pub(crate) fn say(&self, answer: X509SvidResponse) {
        self.service.svids.send_replace(Say::Answer(answer));
    }

    pub(crate) fn fail(&self, code: Code) {
        self.service.svids.send_replace(Say::Status(code));
    }

    pub(crate) fn say_bundles(&self, say: Say<X509BundlesResponse>) {
        self.service.bundles.send_replace(say);
    }

    /// How often either call was made.
    pub(crate) fn calls(&self) -> usize {
        self.service.counts.calls.load(Ordering::SeqCst)
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.service.counts.open.load(Ordering::SeqCst)
    }

    pub(crate) fn builder(&self) -> WorkloadApiBuilder {
        WorkloadApi::builder(&self.address()).unwrap()
    }

    /// A source that has heard the first answer.
    pub(crate) fn source(&self) -> WorkloadApi {
        let source = self.builder().start().unwrap();
        source.wait_for_answer(Duration::MAX);
        source
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // A test may be a task, which must not wait for threads.
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// An agent that does not run.
pub(crate) struct Stopped(Arc<TempDir>);

impl Stopped {
    pub(crate) fn start(self) -> Agent {
        Agent::at(self.0)
    }
}

/// Waits until something is so. What never comes to pass ends with the patience of whoever runs the tests.
#[track_caller]
pub(crate) fn eventually(mut so: impl FnMut() -> bool) {
    while !so() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a source has an identity of which this is so.
pub(crate) fn identity_when(source: &WorkloadApi, so: impl Fn(&Identity) -> bool) -> Arc<Identity> {
    let mut found = None;
    eventually(|| {
        found = source.snapshot().ok().filter(|identity| so(identity));
        found.is_some()
    });
    found.unwrap()
}

/// Counts an open stream.
struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Says what there is to say, and each change of it.
struct Answering<T> {
    said: watch::Receiver<Say<T>>,
    counts: Arc<Counts>,
}

impl<Q, T: Clone + Message + 'static> ServerStreamingService<Q> for Answering<T> {
    type Response = T;
    type ResponseStream = Answers<T>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answers<T>>, Status>> + Send>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        self.counts.calls.fetch_add(1, Ordering::SeqCst);
        let is_marked = request.metadata().get("workload.spiffe.io").is_some_and(|is| is == "true");
        if !is_marked {
            return Box::pin(async { Err(Status::invalid_argument("no workload.spiffe.io")) });
        }
        let mut said = self.said.clone();
        said.mark_changed();
        self.counts.open.fetch_add(1, Ordering::SeqCst);
        let open = Open(Arc::clone(&self.counts));
        let answers =
            unfold(Some((said, open)), async |state: Option<(watch::Receiver<Say<T>>, Open)>| {
                let (mut said, open) = state?;
                loop {
                    said.changed().await.ok()?;
                    let now = said.borrow_and_update().clone();
                    match now {
                        Say::Answer(answer) => return Some((Ok(answer), Some((said, open)))),
                        Say::Status(code) => {
                            return Some((Err(Status::new(code, "so told")), None));
                        }
                        Say::Nothing => {}
                    }
                }
            });
        Box::pin(async { Ok(Response::new(Box::pin(answers) as Answers<T>)) })
    }
}

impl NamedService for Service {
    const NAME: &'static str = "SpiffeWorkloadAPI";
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Self { svids, bundles, counts } = self.clone();
        Box::pin(async move {
            let answer = match request.uri().path() {
                "/SpiffeWorkloadAPI/FetchX509SVID" => {
                    let said = svids.subscribe();
                    let codec = ProstCodec::<X509SvidResponse, X509SvidRequest>::default();
                    Grpc::new(codec).server_streaming(Answering { said, counts }, request).await
                }
                "/SpiffeWorkloadAPI/FetchX509Bundles" => {
                    let said = bundles.subscribe();
                    let codec = ProstCodec::<X509BundlesResponse, X509BundlesRequest>::default();
                    Grpc::new(codec).server_streaming(Answering { said, counts }, request).await
                }
                _ => Status::unimplemented("no such call").into_http(),
            };
            Ok(answer)
        })
    }
}

/// The time at which everything here happens.
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
