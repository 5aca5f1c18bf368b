//! `alts-handshaker health`.

use std::error::Error;
use std::time::Duration;

use clap::Args;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Health {
    /// The daemon's address: unix:PATH or IP:PORT.
    address: String,
}

impl Health {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let status = runtime.block_on(async {
            let asking = tokio::time::timeout(PATIENCE, self.ask());
            asking.await.map_err(|_| "no answer")?
        });
        match status {
            Ok(ServingStatus::Serving) => Ok(()),
            Ok(status) => Err(format!("{} says {}", self.address, status.as_str_name()).into()),
            Err(fault) => Err(format!("{}: {fault}", self.address).into()),
        }
    }

    async fn ask(&self) -> Result<ServingStatus, Box<dyn Error>> {
        let uri = match self.address.strip_prefix("unix:") {
            Some(_) => self.address.clone(),
            None => format!("http://{}", self.address),
        };
        let channel =
            Endpoint::from_shared(uri)?.connect().await.map_err(|fault| innermost(&fault))?;
        let response = HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
        Ok(response.into_inner().status())
    }
}

/// What really happened: "connection refused" rather than "transport error".
fn innermost(fault: &tonic::transport::Error) -> Box<dyn Error> {
    let mut innermost: &dyn Error = fault;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().into()
}
