//! A handshaker of which a test decides every step.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use alts::handshaker::{
    AlertCode, Error, HandshakeOptions, HandshakeSession, Handshaker, Role, Step,
};

pub(crate) type Stepped = Poll<Result<Step, Error>>;

/// What a test makes of one step, given the step that the inner session would take.
type Decide = dyn Fn(&mut dyn FnMut() -> Stepped) -> Stepped + Send + Sync;

/// Sessions of another handshaker, whose steps pass through a function of the test.
#[derive(Clone)]
pub(crate) struct Double {
    inner: Option<Arc<dyn Handshaker>>,
    decide: Arc<Decide>,
}

impl Double {
    /// `decide` is called for each step, and calls the function that it gets to take the step of a session of `inner`.
    pub(crate) fn around(
        inner: impl Handshaker,
        decide: impl Fn(&mut dyn FnMut() -> Stepped) -> Stepped + Send + Sync + 'static,
    ) -> Self {
        Self { inner: Some(Arc::new(inner)), decide: Arc::new(decide) }
    }

    /// Every step is what `answer` says; no bytes are read or written.
    pub(crate) fn answering(answer: impl Fn() -> Stepped + Send + Sync + 'static) -> Self {
        Self { inner: None, decide: Arc::new(move |_| answer()) }
    }
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Double").field(&self.inner).finish()
    }
}

impl Handshaker for Double {
    fn start(
        &self,
        role: Role,
        options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, Error> {
        let inner = self.inner.as_ref().map(|inner| inner.start(role, options)).transpose()?;
        Ok(Box::new(Session { inner, decide: Arc::clone(&self.decide) }))
    }
}

struct Session {
    inner: Option<Box<dyn HandshakeSession>>,
    decide: Arc<Decide>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.inner).finish()
    }
}

impl HandshakeSession for Session {
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        received: &[u8],
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Stepped {
        (self.decide)(&mut || match &mut self.inner {
            Some(inner) => inner.poll_step(cx, received, now, out),
            None => Poll::Pending,
        })
    }

    fn fail(&mut self, code: AlertCode, out: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.fail(code, out);
        }
    }
}
