//! Authorization of calls: which peers may call which methods.

use std::collections::{BTreeSet, HashMap};
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use alts_handshaker::identity::{Policy, SpiffeId};
use tonic::Status;
use tonic::server::NamedService;
use tonic::transport::server::TcpConnectInfo;
use tower::util::Either;
use tower::{Layer, Service};

use super::connect_info::{AltsConnectInfo, RequestExt};

/// The peers that may call: rules about SPIFFE IDs, and names for peers that have none.
///
/// Peers on connections without ALTS are always denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    peers: Peers,
    names: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Peers {
    Authenticated,
    Allowed(Policy),
}

impl Access {
    /// Allows every authenticated peer.
    pub fn authenticated() -> Self {
        Self { peers: Peers::Authenticated, names: BTreeSet::new() }
    }

    /// Also allows the peer to which a handshaker service gives this name, such as a service account's address. The comparison is
    /// exact. It does not apply to peers whose name is a SPIFFE ID; the policy decides about those.
    #[must_use]
    pub fn allow_name(mut self, name: impl Into<String>) -> Self {
        self.names.insert(name.into());
        self
    }

    /// Whether the peer of this connection may call.
    ///
    /// As an interceptor for one service, or in a handler:
    ///
    /// ```
    /// use alts::handshaker::identity::Policy;
    /// use alts::tonic::{Access, RequestExt};
    ///
    /// # fn make() -> Result<(), Box<dyn std::error::Error>> {
    /// let admins = Access::from(Policy::from_rules(["spiffe://example.org/admin/*"])?);
    /// let interceptor = move |request: tonic::Request<()>| {
    ///     admins.check(request.alts())?;
    ///     Ok::<_, tonic::Status>(request)
    /// };
    /// # let _ = interceptor; Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `PERMISSION_DENIED`. The reason is for this side's log; the caller is not told.
    pub fn check(&self, caller: Option<&AltsConnectInfo>) -> Result<(), Status> {
        self.decide(caller).map_err(|reason| denied(caller, None, &reason))
    }

    fn decide(&self, caller: Option<&AltsConnectInfo>) -> Result<(), String> {
        let Some(caller) = caller else {
            return Err("the connection is not secured by ALTS".into());
        };
        let Peers::Allowed(policy) = &self.peers else { return Ok(()) };
        match caller.peer().spiffe_id() {
            Some(peer) => {
                let own = caller.negotiated().local.parse::<SpiffeId>().ok();
                let own = own.map(|own| own.trust_domain());
                policy.allows(peer, own.as_ref()).map_err(|denial| denial.reason().to_owned())
            }
            None if self.names.contains(caller.peer().name()) => Ok(()),
            None => Err("no rule allows the name".into()),
        }
    }
}

/// Logs the reason; the caller is not told.
fn denied(caller: Option<&AltsConnectInfo>, path: Option<&str>, reason: &str) -> Status {
    // Both are text from the caller, which Debug escapes.
    let peer = caller.map(|caller| caller.peer().name());
    tracing::info!(?peer, ?path, reason, "call denied");
    Status::permission_denied("the caller is not allowed to do this")
}

impl From<Policy> for Access {
    fn from(policy: Policy) -> Self {
        Self { peers: Peers::Allowed(policy), names: BTreeSet::new() }
    }
}

/// Passes calls on to a service, or answers them with `PERMISSION_DENIED`.
///
/// A tower layer, for a whole server or for one service. The most specific rule decides: a method's, else its service's, else the
/// one for everything. Make that one the strictest: a misspelled name falls back to it.
///
/// Behind it tonic's `Request::remote_addr` and `local_addr` work, too, which know nothing of ALTS themselves.
///
/// ```
/// use alts::handshaker::identity::Policy;
/// use alts::tonic::{Access, Authorization};
///
/// # fn make() -> Result<(), Box<dyn std::error::Error>> {
/// let authorization = Authorization::new(Policy::from_rules(["spiffe://example.org/ns/web/*"])?)
///     .service("grpc.health.v1.Health", Access::authenticated())
///     .method("shop.Orders", "Cancel", Policy::from_rules(["spiffe://example.org/ns/web/sa/desk"])?);
/// let server = tonic::transport::Server::builder().layer(authorization);
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authorization(Arc<Rules>);

#[derive(Clone, Debug)]
struct Rules {
    everything: Access,
    services: HashMap<String, Access>,
    /// By path.
    methods: HashMap<String, Access>,
}

impl Authorization {
    /// Allows `access` to call everything that no other rule covers.
    pub fn new(access: impl Into<Access>) -> Self {
        let everything = access.into();
        Self(Arc::new(Rules { everything, services: HashMap::new(), methods: HashMap::new() }))
    }

    /// Allows `access` to call a service, named with its package: `grpc.health.v1.Health`.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>, access: impl Into<Access>) -> Self {
        Arc::make_mut(&mut self.0).services.insert(service.into(), access.into());
        self
    }

    /// Allows `access` to call one method of a service.
    #[must_use]
    pub fn method(mut self, service: &str, method: &str, access: impl Into<Access>) -> Self {
        let path = format!("/{service}/{method}");
        Arc::make_mut(&mut self.0).methods.insert(path, access.into());
        self
    }

    /// The rule for a request to `path`, `/package.Service/Method`.
    fn access_to(&self, path: &str) -> &Access {
        let rules = &*self.0;
        let of_service = || {
            let (service, _method) = path.strip_prefix('/')?.split_once('/')?;
            rules.services.get(service)
        };
        rules.methods.get(path).or_else(of_service).unwrap_or(&rules.everything)
    }

    fn check<B>(&self, request: &http::Request<B>) -> Result<(), Status> {
        let (caller, path) = (request.alts(), request.uri().path());
        let decision = self.access_to(path).decide(caller);
        decision.map_err(|reason| denied(caller, Some(path), &reason))
    }
}

impl<S> Layer<S> for Authorization {
    type Service = Authorized<S>;

    fn layer(&self, service: S) -> Authorized<S> {
        Authorized { authorization: self.clone(), service }
    }
}

/// A service behind an [`Authorization`].
#[derive(Clone, Debug)]
pub struct Authorized<S> {
    authorization: Authorization,
    service: S,
}

impl<S, B, R> Service<http::Request<B>> for Authorized<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = <Either<Denied<R, S::Error>, S> as Service<http::Request<B>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        if let Some(tcp) = request.alts().and_then(|alts| alts.transport::<TcpConnectInfo>()) {
            let tcp = tcp.clone();
            request.extensions_mut().insert(tcp);
        }
        let mut service = match self.authorization.check(&request) {
            Ok(()) => Either::Right(&mut self.service),
            Err(status) => Either::Left(Denied { status: Some(status), _answers: PhantomData }),
        };
        service.call(request)
    }
}

/// A single service with its own authorization can be added to a server.
impl<S: NamedService> NamedService for Authorized<S> {
    const NAME: &'static str = S::NAME;
}

/// Answers in place of the service when the call is denied, with a response of headers alone.
#[doc(hidden)]
#[derive(Debug)]
pub struct Denied<R, E> {
    status: Option<Status>,
    _answers: PhantomData<fn() -> (R, E)>,
}

impl<B, R: Default, E> Service<http::Request<B>> for Denied<R, E> {
    type Response = http::Response<R>;
    type Error = E;
    type Future = Ready<Result<http::Response<R>, E>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: http::Request<B>) -> Self::Future {
        let status = self.status.take().unwrap_or_else(|| Status::permission_denied(""));
        ready(Ok(status.into_http()))
    }
}
