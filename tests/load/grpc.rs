//! The service of the examples, for channels of tonic.

#[path = "../../examples/grpc/service.rs"]
mod service;

pub(crate) use service::EchoService;

pub(crate) use crate::echo::WhoAmIRequest;
pub(crate) use crate::echo::echo_client::EchoClient;
pub(crate) use crate::echo::echo_server::EchoServer;
