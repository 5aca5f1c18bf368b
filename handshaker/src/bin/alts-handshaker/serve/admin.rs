//! What the daemon reports of itself.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use alts_handshaker::admin::{self, Report};
use alts_handshaker::service::HandshakerService;
use tokio::net::TcpListener;

use super::metrics::Metrics;

pub(super) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

struct Daemon {
    metrics: Arc<Metrics>,
    service: HandshakerService,
}

impl Admin {
    pub(super) async fn bind(address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let fault = |fault| format!("cannot listen on {address} for metrics: {fault}");
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Ok(Self { listener, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends, so that the last of a drain can still be seen.
    pub(super) fn spawn(self, metrics: Arc<Metrics>, service: HandshakerService) {
        let report = Arc::new(Daemon { metrics, service });
        tokio::spawn(admin::serve(self.listener, report));
    }
}

impl Report for Daemon {
    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.text()
    }

    fn is_ready(&self) -> bool {
        !self.service.is_draining()
    }
}
