//! gRPC's health service.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use alts_handshaker::proto::handshaker_service_server::SERVICE_NAME;
use alts_handshaker::service::Caller;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as Rpc, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

/// Streams that watch, of one caller: they never end by themselves. Those of all callers are limited with their connections.
const MAX_WATCHERS: usize = 16;

/// The largest request, in bytes. It holds the name of a service.
const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// The names under which the daemon's health is known: the daemon's as a whole, and its service's.
const NAMES: [&str; 2] = ["", SERVICE_NAME];

pub(super) struct Health(HealthReporter);

impl Health {
    pub(super) async fn new() -> Self {
        let reporter = HealthReporter::new();
        for name in NAMES {
            reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        Self(reporter)
    }

    pub(super) async fn set_not_serving(&self) {
        for name in NAMES {
            self.0.set_service_status(name, ServingStatus::NotServing).await;
        }
    }

    pub(super) fn server(&self) -> HealthServer<impl Rpc> {
        HealthServer::new(Bounded {
            service: HealthService::from_health_reporter(self.0.clone()),
            watchers: Watchers::default(),
        })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}

/// The service with a limit to what watches it.
struct Bounded {
    service: HealthService,
    watchers: Watchers,
}

/// How many watch, by caller.
#[derive(Clone, Default)]
struct Watchers(Arc<Mutex<HashMap<Caller, usize>>>);

/// One that watches.
struct Watcher {
    watchers: Watchers,
    caller: Caller,
}

impl Watchers {
    /// One more, unless the caller has enough.
    fn enter(&self, caller: Caller) -> Option<Watcher> {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = watchers.entry(caller).or_default();
        if *count >= MAX_WATCHERS {
            return None;
        }
        *count += 1;
        Some(Watcher { watchers: self.clone(), caller })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watchers = self.watchers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = watchers.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                watchers.remove(&self.caller);
            }
        }
    }
}

#[tonic::async_trait]
impl Rpc for Bounded {
    type WatchStream = Watch;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.service.check(request).await
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watch>, Status> {
        let caller = request.extensions().get().copied().unwrap_or_default();
        let watcher = self.watchers.enter(caller).ok_or_else(|| {
            Status::unavailable(format!(
                "this caller watches the daemon's health with {MAX_WATCHERS} calls already; close one of them"
            ))
        })?;
        let changes = self.service.watch(request).await?;
        Ok(changes.map(|changes| Watch { changes: Box::pin(changes), _watcher: watcher }))
    }
}

struct Watch {
    changes: Pin<Box<<HealthService as Rpc>::WatchStream>>,
    _watcher: Watcher,
}

impl Stream for Watch {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.as_mut().poll_next(cx)
    }
}
