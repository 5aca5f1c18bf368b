//! The service: what each method does, and how it learns the caller's identity.

use std::iter::{Map, RepeatN, repeat_n};

use alts::tonic::RequestExt;
use tonic::{Request, Response, Status, Streaming};

use crate::echo::echo_server::Echo;
use crate::echo::{Caller, Message, RepeatRequest, WhoAmIRequest};

/// What `Join` gathers at most, in bytes: a client may send messages without end.
const JOIN_LIMIT: usize = 64 << 20;

#[derive(Clone, Copy, Debug)]
pub(crate) struct EchoService;

type Answer = Result<Message, Status>;
type Repeated = tokio_stream::Iter<Map<RepeatN<Message>, fn(Message) -> Answer>>;

#[tonic::async_trait]
impl Echo for EchoService {
    async fn once(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type RepeatStream = Repeated;

    async fn repeat(&self, request: Request<RepeatRequest>) -> Result<Response<Repeated>, Status> {
        let RepeatRequest { message, times } = request.into_inner();
        let message = message.ok_or_else(|| Status::invalid_argument("there is no message"))?;
        // One at a time, as fast as the client takes them.
        let messages = repeat_n(message, times as usize).map(Ok as fn(Message) -> Answer);
        Ok(Response::new(tokio_stream::iter(messages)))
    }

    async fn join(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Message>, Status> {
        let mut messages = request.into_inner();
        let mut joined = Vec::new();
        while let Some(message) = messages.message().await? {
            if joined.len() + message.payload.len() > JOIN_LIMIT {
                return Err(Status::resource_exhausted("the messages are more than 64 MiB"));
            }
            joined.extend_from_slice(&message.payload);
        }
        Ok(Response::new(Message { payload: joined.into() }))
    }

    type ChatStream = Streaming<Message>;

    async fn chat(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Streaming<Message>>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<Caller>, Status> {
        let connection =
            request.alts().ok_or_else(|| Status::unauthenticated("this connection is not ALTS"))?;
        let negotiated = connection.negotiated();
        Ok(Response::new(Caller {
            identity: connection.peer().name().to_owned(),
            server: negotiated.local.clone(),
            application_protocol: negotiated.application_protocol.clone(),
            record_protocol: negotiated.record_protocol.to_string(),
            address: connection
                .remote_addr()
                .map(|address| address.to_string())
                .unwrap_or_default(),
        }))
    }
}
