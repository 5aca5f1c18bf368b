//! gRPC's health service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use alts_handshaker::proto::handshaker_service_server::SERVICE_NAME;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as Rpc, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

/// Streams that watch. They never end by themselves.
const MAX_WATCHERS: usize = 64;

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
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
        })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}

/// The service with a limit to what watches it.
struct Bounded {
    service: HealthService,
    watchers: Arc<Semaphore>,
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
        let place = Arc::clone(&self.watchers)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many watch the health of this daemon"))?;
        let changes = self.service.watch(request).await?;
        Ok(changes.map(|changes| Watch { changes: Box::pin(changes), _place: place }))
    }
}

struct Watch {
    changes: Pin<Box<<HealthService as Rpc>::WatchStream>>,
    _place: OwnedSemaphorePermit,
}

impl Stream for Watch {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.as_mut().poll_next(cx)
    }
}
