//! `alts-handshaker health`.

use std::error::Error;
use std::time::Duration;

use clap::Args;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before asking again a daemon that has closed the connection.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(crate) struct Health {
    /// The daemon's address: unix:PATH or IP:PORT.
    address: String,
}

impl Health {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let status = runtime.block_on(async {
            let asking = tokio::time::timeout(PATIENCE, self.ask_until_answered());
            asking.await.map_err(|_| "no answer within 5 seconds")?
        });
        match status {
            Ok(ServingStatus::Serving) => Ok(()),
            Ok(status) => Err(format!("{} answers {}", self.address, status.as_str_name()).into()),
            Err(fault) => Err(format!("{}: {fault}", self.address).into()),
        }
    }

    /// A daemon with as many connections as it may have closes one for the next, and that may be this one.
    async fn ask_until_answered(&self) -> Result<ServingStatus, Box<dyn Error>> {
        loop {
            match self.ask().await {
                Err(fault) if is_cut_off(&*fault) => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
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

/// Whether the connection was closed under the call.
fn is_cut_off(fault: &(dyn Error + 'static)) -> bool {
    let code = fault.downcast_ref::<tonic::Status>().map(tonic::Status::code);
    matches!(code, Some(Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal))
}

/// What really happened: "connection refused" rather than "transport error".
fn innermost(fault: &tonic::transport::Error) -> Box<dyn Error> {
    let mut innermost: &dyn Error = fault;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().into()
}
