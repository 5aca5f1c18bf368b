//! One handshake, as the log and an observer see it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use alts_handshaker::{AlertCode, Error as Handshake, Role};
use tracing::{Span, field};

use super::settings::Settings;
use crate::error::{Error, Truncation};
use crate::observer::{Finished, Observer, Outcome};
use crate::stream::AltsStream;

/// A handshake that has begun. Dropped before it has ended, it was given up.
#[derive(Debug)]
pub(super) struct Observed {
    /// `None` once it was told of the end, too.
    observer: Option<Arc<dyn Observer>>,
    role: Role,
    began: Instant,
    span: Span,
}

impl Observed {
    pub(super) fn begin(role: Role, settings: &Settings, source: Option<IpAddr>) -> Self {
        let source = source.map(field::display);
        let span = tracing::info_span!("alts_handshake", ?role, source, log_id = field::Empty);
        let observer = settings.observer.clone();
        if let Some(observer) = &observer {
            observer.started(role);
        }
        Self { observer, role, began: Instant::now(), span }
    }

    /// To be entered while the handshake goes on.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Logs and tells how it ended, in this order: whoever sees the count finds the line.
    pub(super) fn ended<S>(
        mut self,
        result: Result<AltsStream<S>, Error>,
    ) -> Result<AltsStream<S>, Error> {
        match result {
            Ok(stream) => {
                let negotiated = stream.negotiated();
                tracing::debug!(
                    parent: &self.span,
                    peer = negotiated.peer.name(),
                    protocol = %negotiated.record_protocol,
                    resumed = negotiated.resumed.is_some(),
                    "handshake done",
                );
                self.tell(Outcome::Secured { peer: &negotiated.peer });
                Ok(stream)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// As [`ended`](Self::ended), with an error.
    pub(super) fn failed(mut self, error: Error) -> Error {
        let parent = &self.span;
        match &error {
            Error::Truncated { at: Truncation::BeforeHandshake } => {
                tracing::debug!(parent: parent, %error, "no handshake");
            }
            // What comes in floods is not worth a line each.
            Error::Handshake(Handshake::Limit { code: AlertCode::Overloaded, .. }) => {
                tracing::debug!(parent: parent, %error, "handshake refused");
            }
            _ => tracing::info!(parent: parent, %error, fault = ?error.fault(), "handshake failed"),
        }
        self.tell(Outcome::Failed { error: &error });
        error
    }

    fn tell(&mut self, outcome: Outcome<'_>) {
        if let Some(observer) = self.observer.take() {
            let (role, elapsed) = (self.role, self.began.elapsed());
            observer.finished(&Finished { role, outcome, elapsed });
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.tell(Outcome::Cancelled);
    }
}

/// Gives the handshake's span, which is entered, the name that both sides know the connection by.
pub(super) fn name_span(log_id: [u8; 16]) {
    // Handshakers from elsewhere may know none.
    if log_id != [0; 16] {
        Span::current()
            .record("log_id", field::display(format_args!("{:032x}", u128::from_be_bytes(log_id))));
    }
}
