//! The thread that listens to the agent. It has a runtime of its own, so that any program can use it, and so that large answers
//! are read beside the program's work.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use prost::Message;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::super::error::IdentityError;
use super::Shared;
use super::backoff::Backoff;
use super::messages::{X509BundlesRequest, X509BundlesResponse, X509SvidRequest, X509SvidResponse};

/// The largest answer, in bytes: what gRPC's own clients take.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// How long the agent may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often what could not be used yet is looked at again, and the identity's age.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The pause after an answer that asking again does not change, as it says that this program and the agent do not fit. The
/// agent may be replaced while the program runs.
const HOPELESS: Duration = Duration::from_secs(300);

/// One of the calls.
trait Call: 'static {
    type Request: Message + Default + 'static;
    type Answer: Message + Default + 'static;
    const PATH: &'static str;

    fn heard(shared: &Shared, answer: Self::Answer, now: SystemTime);
    fn ended(shared: &Shared, end: &End, now: SystemTime);
    /// How long an open stream may be silent.
    fn patience(shared: &Shared, now: SystemTime) -> Option<Duration>;
}

struct FetchX509Svid;
struct FetchX509Bundles;

impl Call for FetchX509Svid {
    type Request = X509SvidRequest;
    type Answer = X509SvidResponse;
    const PATH: &'static str = "/SpiffeWorkloadAPI/FetchX509SVID";

    fn heard(shared: &Shared, answer: X509SvidResponse, now: SystemTime) {
        shared.heard_svids(answer, now);
    }

    fn ended(shared: &Shared, end: &End, now: SystemTime) {
        shared.svids_ended(end, now);
    }

    fn patience(shared: &Shared, now: SystemTime) -> Option<Duration> {
        shared.patience(now)
    }
}

impl Call for FetchX509Bundles {
    type Request = X509BundlesRequest;
    type Answer = X509BundlesResponse;
    const PATH: &'static str = "/SpiffeWorkloadAPI/FetchX509Bundles";

    fn heard(shared: &Shared, answer: X509BundlesResponse, now: SystemTime) {
        shared.heard_bundles(answer, now);
    }

    fn ended(shared: &Shared, end: &End, now: SystemTime) {
        shared.bundles_ended(end, now);
    }

    fn patience(_shared: &Shared, _now: SystemTime) -> Option<Duration> {
        None
    }
}

/// Why a stream of answers ended.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing came in the time in which something should have come.
    Silent,
    /// Without a reason.
    Closed,
    Status(Status),
}

impl End {
    /// The agent says that there is nothing for this process.
    pub(super) fn is_denial(&self) -> bool {
        self.code() == Some(Code::PermissionDenied)
    }

    /// The standard has clients report these and not repeat the call.
    pub(super) fn is_hopeless(&self) -> bool {
        matches!(self.code(), Some(Code::InvalidArgument | Code::Unimplemented))
    }

    fn code(&self) -> Option<Code> {
        match self {
            Self::Status(status) => Some(status.code()),
            Self::Silent | Self::Closed => None,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => f.write_str("it is silent"),
            Self::Closed => f.write_str("it ended the stream"),
            Self::Status(status) => {
                // What really happened, "connection refused" rather than "transport error", is the innermost.
                let mut cause = std::error::Error::source(status);
                while let Some(inner) = cause.and_then(std::error::Error::source) {
                    cause = Some(inner);
                }
                match cause {
                    Some(cause) => write!(f, "{cause}"),
                    None => {
                        let message: String = status.message().chars().take(200).collect();
                        write!(f, "{:?}: {}", status.code(), message.escape_debug())
                    }
                }
            }
        }
    }
}

/// The thread's end of life: it ends when this is dropped together with the identity.
#[derive(Debug)]
pub(super) struct Alive(
    #[expect(dead_code, reason = "held for its drop")] oneshot::Sender<Infallible>,
);

/// What the thread ends with, and what it keeps alive.
pub(super) fn lifeline() -> (Alive, oneshot::Receiver<Infallible>) {
    let (sender, dropped) = oneshot::channel();
    (Alive(sender), dropped)
}

/// Starts the thread.
pub(super) fn start(
    shared: &Arc<Shared>,
    endpoint: Endpoint,
    dropped: oneshot::Receiver<Infallible>,
) -> Result<(), IdentityError> {
    let unstarted = |fault: std::io::Error| IdentityError::Watcher(fault.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unstarted)?;
    let shared = Arc::downgrade(shared);
    thread::Builder::new()
        .name("alts-identity".to_owned())
        .spawn(move || {
            let channel = {
                let _inside = runtime.enter();
                endpoint.connect_timeout(CONNECT_TIMEOUT).connect_lazy()
            };
            runtime.spawn(follow::<FetchX509Svid>(shared.clone(), channel.clone()));
            runtime.spawn(follow::<FetchX509Bundles>(shared.clone(), channel));
            runtime.spawn(look(shared));
            // Nothing is ever sent: the sender is gone.
            let _ = runtime.block_on(dropped);
        })
        .map_err(unstarted)?;
    Ok(())
}

/// Looks at what changes with time alone.
async fn look(shared: Weak<Shared>) {
    loop {
        sleep(LOOK_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.look(SystemTime::now());
    }
}

/// Keeps a stream open as long as anybody uses the identity.
async fn follow<C: Call>(shared: Weak<Shared>, channel: Channel) {
    let mut backoff = Backoff::new();
    let random = SystemRandom::new();
    loop {
        let opened = Instant::now();
        let end = listen::<C>(&shared, channel.clone()).await;
        let Some(shared) = shared.upgrade() else { return };
        C::ended(&shared, &end, SystemTime::now());
        drop(shared);
        let mut byte = [0];
        // Without randomness the pauses are only less spread.
        let _ = random.fill(&mut byte);
        let mut pause = backoff.pause(opened.elapsed(), byte[0]);
        if end.is_hopeless() {
            pause = HOPELESS;
        }
        sleep(pause).await;
    }
}

/// Opens a stream and hears it to its end.
async fn listen<C: Call>(shared: &Weak<Shared>, channel: Channel) -> End {
    let Some(first_patience) = shared.upgrade().map(|shared| shared.answer_timeout) else {
        return End::Closed;
    };
    let first = timeout(first_patience, async {
        let mut client =
            tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        client.ready().await.map_err(|fault| Status::from_error(fault.into()))?;
        let mut request = Request::new(C::Request::default());
        // The standard's guard against requests that somebody else has made this process send.
        let header = MetadataValue::from_static("true");
        request.metadata_mut().insert("workload.spiffe.io", header);
        let codec = tonic_prost::ProstCodec::<C::Request, C::Answer>::default();
        let path = PathAndQuery::from_static(C::PATH);
        let mut answers = client.server_streaming(request, path, codec).await?.into_inner();
        let first = answers.message().await?;
        Ok::<_, Status>((answers, first))
    });
    let (mut answers, mut answer) = match first.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(status)) => return End::Status(status),
        Err(_) => return End::Silent,
    };
    loop {
        let Some(heard) = answer else { return End::Closed };
        let patience = {
            let Some(shared) = shared.upgrade() else { return End::Closed };
            let now = SystemTime::now();
            C::heard(&shared, heard, now);
            C::patience(&shared, now)
        };
        let next = match patience {
            None => answers.message().await,
            Some(patience) => match timeout(patience, answers.message()).await {
                Ok(next) => next,
                Err(_) => return End::Silent,
            },
        };
        answer = match next {
            Ok(answer) => answer,
            Err(status) => return End::Status(status),
        };
    }
}
