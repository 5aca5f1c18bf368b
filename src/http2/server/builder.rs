//! How a server is set up.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::super::budget::ticks;
use super::super::error::Error;
use super::super::limits;
use super::super::settings::Config;
use super::registry::Registry;
use super::{Counts, Handlers, Keepalive, Server, Shared, Times};
use crate::pool::BufferPool;

/// The least time between two PINGs of keepalive: less costs more than it tells.
const LEAST_KEEPALIVE: Duration = Duration::from_secs(1);

/// Describes a [`Server`]; [`build`](Self::build) checks it once.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerBuilder {
    config: Config,
    pool: Option<BufferPool>,
    handlers: Handlers,
    preface: Duration,
    settings: Duration,
    stall: Duration,
    window: Duration,
    drain: Duration,
    linger: Duration,
    keepalive: Option<(Duration, Duration)>,
    idle: Option<Duration>,
    age: Option<Duration>,
    age_grace: Option<Duration>,
    call: Option<Duration>,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            config: Config::default(),
            pool: None,
            handlers: Handlers::default(),
            preface: Duration::from_secs(limits::PREFACE_SECONDS.into()),
            settings: Duration::from_secs(limits::SETTINGS_SECONDS.into()),
            stall: Duration::from_secs(limits::STALL_SECONDS.into()),
            window: Duration::from_secs(limits::WINDOW_SECONDS.into()),
            drain: Duration::from_secs(limits::DRAIN_SECONDS.into()),
            linger: Duration::from_secs(limits::LINGER_SECONDS.into()),
            keepalive: None,
            idle: None,
            age: None,
            age_grace: None,
            call: None,
        }
    }
}

impl ServerBuilder {
    /// Where read buffers come from; a pool with the defaults unless set. Connections that share one share its cap.
    pub fn pool(mut self, pool: BufferPool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Where handlers run.
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = handlers;
        self
    }

    /// How many requests of a connection are handled at a time; 100 unless set. What comes beyond is refused, and can be sent again.
    pub fn max_concurrent_streams(mut self, count: u32) -> Self {
        self.config.max_concurrent_streams = count;
        self
    }

    /// How many bytes of a request wait at most for their handler; 256 KiB unless set.
    pub fn stream_window(mut self, bytes: u32) -> Self {
        self.config.stream_window = bytes;
        self
    }

    /// How many bytes of all requests of a connection wait at most for their handlers; 1 MiB unless set, 65,535 at least.
    pub fn connection_window(mut self, bytes: u32) -> Self {
        self.config.connection_window = bytes;
        self
    }

    /// How large the metadata of a request may be, in bytes of names and values and 32 for each field; 16 KiB unless set.
    pub fn max_header_list_size(mut self, bytes: u32) -> Self {
        self.config.max_header_list_size = bytes;
        self
    }

    /// How much of its compression table a client may have kept here, in bytes; 4,096 unless set, HTTP/2's default. That is what an idle
    /// connection of a hostile client can hold. Some clients ignore a lower value, and lose their connection at the second call.
    pub fn header_table_size(mut self, bytes: u32) -> Self {
        self.config.header_table_size = bytes;
        self
    }

    /// How long a client may take until its preface and settings are here; 10 seconds unless set.
    pub fn preface_timeout(mut self, timeout: Duration) -> Self {
        self.preface = timeout;
        self
    }

    /// How long a client may take to complete a frame that it has begun, and to receive some of the bytes that wait for it; 30 seconds
    /// unless set.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall = timeout;
        self
    }

    /// How long a client may take, after the preface's time, until it has acknowledged the server's settings; 20 seconds unless set. Then the
    /// connection ends with `SETTINGS_TIMEOUT`.
    pub fn settings_timeout(mut self, timeout: Duration) -> Self {
        self.settings = timeout;
        self
    }

    /// How long a response may wait for window while as many requests are open as there may be, so that it keeps others out; 5 minutes unless
    /// set. Then it is reset with `CANCEL`. While the client may send further requests, responses wait for as long as it likes.
    pub fn window_timeout(mut self, timeout: Duration) -> Self {
        self.window = timeout;
        self
    }

    /// How long a client has to answer the first of the two GOAWAY frames of an orderly end, in which it may still send requests; 1 second
    /// unless set. Calls that are open then go on to their end.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain = timeout;
        self
    }

    /// For how long a connection that the server has ended still reads, at most 1 MiB, and drops what comes; 2 seconds unless set. Without
    /// that the kernel may withdraw the last frames, and the client would not learn why it was ended.
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Sends a PING after `interval` without a byte from the client, and closes the connection if nothing comes within `timeout`. Off
    /// unless set. At least one second each; checked once a second.
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keepalive = Some((interval, timeout));
        self
    }

    /// Ends a connection in order that has had no stream for so long.
    pub fn max_connection_idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// Ends a connection in order that is as old as that, so that clients spread anew and certificates are checked again.
    pub fn max_connection_age(mut self, limit: Duration) -> Self {
        self.age = Some(limit);
        self
    }

    /// How long the calls of a connection that is ended because of its age may take; without end unless set.
    pub fn max_connection_age_grace(mut self, grace: Duration) -> Self {
        self.age_grace = Some(grace);
        self
    }

    /// How long a call may take, from its head to the last byte of its response. A call's own `grpc-timeout` applies if it is shorter.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call = Some(timeout);
        self
    }

    /// Checks the description.
    ///
    /// # Errors
    /// A setting that cannot be, named in the error.
    pub fn build(self) -> Result<Server, Error> {
        self.config.check()?;
        if let Some((interval, timeout)) = self.keepalive
            && (interval < LEAST_KEEPALIVE || timeout < LEAST_KEEPALIVE)
        {
            return Err(Error::misuse(
                "keepalive's interval and timeout must be at least 1 second",
            ));
        }
        let always = [self.preface, self.settings, self.stall, self.window, self.drain];
        let optional = [self.idle, self.age, self.call];
        if always.into_iter().chain(optional.into_iter().flatten()).any(|limit| limit.is_zero()) {
            return Err(Error::misuse("a limit of time must not be 0"));
        }
        let keepalive = self.keepalive.map(|(interval, timeout)| Keepalive {
            interval: ticks(interval),
            timeout: ticks(timeout),
        });
        Ok(Server(Arc::new(Shared {
            config: self.config,
            pool: self.pool.unwrap_or_default(),
            handlers: self.handlers,
            times: Times {
                preface: ticks(self.preface),
                settings: ticks(self.settings),
                stall: ticks(self.stall),
                window: ticks(self.window),
                drain: ticks(self.drain),
                linger: ticks(self.linger),
                keepalive,
                idle: self.idle.map(ticks),
                age: self.age.map(ticks),
                age_grace: self.age_grace.map(ticks),
                call: self.call,
            },
            registry: Registry::new(),
            draining: AtomicBool::new(false),
            counts: Counts::default(),
        })))
    }
}
