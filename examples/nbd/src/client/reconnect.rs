//! Connections that are made again.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::sleep;

use super::error::Error;
use super::terms::Terms;
use alts::Fault;

/// How a connection that breaks is made again.
///
/// Whatever is not answered at that moment is sent again, and the callers notice nothing but the time it takes. All requests can
/// be repeated: reads, block status and hints change nothing, and writes of the same bytes to the same place give the same result
/// twice.
///
/// Two things can go wrong that no client can prevent:
///
/// * Writes that were answered, but not flushed, are gone if the server was restarted meanwhile. The next flush fails with
///   [`Error::UnsavedWrites`], and does not claim that they are stable.
/// * A server that still works on a write of the broken connection may carry it out after a later write to the same place. Do not
///   write twice to one place without a flush between if that matters.
///
/// A connection that ended because the server broke the protocol is not made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconnect {
    /// Attempts for one break; 10 unless set.
    pub attempts: u32,
    /// The pause before the second attempt, 100 ms unless set. It doubles with each.
    pub first_pause: Duration,
    /// The longest pause, 5 s unless set.
    pub longest_pause: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            attempts: 10,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Makes a connection again, up to transmission.
pub struct Redial<S>(Box<dyn FnMut() -> Redialing<S> + Send>);

type Redialing<S> = Pin<Box<dyn Future<Output = Result<(S, Terms), Error>> + Send>>;

impl<S> Redial<S> {
    /// With this function, which is called for each attempt.
    pub fn new<F>(mut connect: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(S, Terms), Error>> + Send + 'static,
    {
        Self(Box::new(move || Box::pin(connect())))
    }

    /// Tries until it works, and the export is the same. Answers the error of the last attempt.
    pub(super) async fn again(
        &mut self,
        settings: Reconnect,
        before: &Terms,
    ) -> Result<(S, Terms), Error> {
        let mut pause = settings.first_pause;
        let mut attempt = 1;
        loop {
            match (self.0)().await {
                Ok((stream, terms)) => return same(before, &terms).map(|()| (stream, terms)),
                // What a server says during its start or its end may be another thing a moment later.
                Err(error)
                    if attempt < settings.attempts
                        && matches!(
                            error.fault(),
                            Fault::Network | Fault::Limit | Fault::Refused | Fault::Handshaker
                        ) =>
                {
                    tracing::info!(%error, attempt, "cannot connect again");
                }
                Err(error) => return Err(error),
            }
            attempt += 1;
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(settings.longest_pause);
        }
    }
}

/// Whether requests that were right for one export are right for the other.
fn same(before: &Terms, after: &Terms) -> Result<(), Error> {
    let differs = |what| Err(Error::ExportChanged(what));
    if before.info.size != after.info.size {
        return differs("size");
    }
    if before.info.flags != after.info.flags {
        return differs("set of capabilities");
    }
    if before.block_size() != after.block_size() {
        return differs("block size");
    }
    if before.structured != after.structured
        || before.allocation.is_some() != after.allocation.is_some()
    {
        return differs("way to reply");
    }
    Ok(())
}

impl<S> fmt::Debug for Redial<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redial").finish_non_exhaustive()
    }
}
