//! Channels on either HTTP/2, as one type.

use std::error::Error;
use std::time::Duration;

use alts::tonic::{AltsConnector, ChannelBody};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::Stack;

/// A channel, whosever HTTP/2 it is on.
pub(crate) type Channel = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// Connects to `address`. Making the connection takes `patience` at most, and each call.
pub(crate) async fn connect(
    stack: Stack,
    address: &str,
    connector: AltsConnector,
    patience: Duration,
) -> Result<Channel, Box<dyn Error>> {
    let uri = format!("http://{address}");
    Ok(match stack {
        Stack::Alts => {
            let builder = alts::tonic::Channel::builder(uri.parse()?)
                .connect_timeout(patience)
                .timeout(patience);
            let client = builder.connect_with(connector.on_ready()).await?;
            BoxCloneSyncService::new(
                ServiceBuilder::new()
                    .map_response(|response: Response<ChannelBody>| response.map(Body::new))
                    .service(alts::tonic::Channel::from(client)),
            )
        }
        Stack::Hyper => {
            let endpoint = Endpoint::from_shared(uri)?.connect_timeout(patience).timeout(patience);
            let channel = endpoint.connect_with_connector(connector).await?;
            BoxCloneSyncService::new(
                ServiceBuilder::new()
                    .map_err(|error: tonic::transport::Error| Status::from_error(error.into()))
                    .service(channel),
            )
        }
    })
}
