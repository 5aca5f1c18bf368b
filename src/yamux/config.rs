//! How a session is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::limits;

/// Settings of a session, checked once by [`ConfigBuilder::build`]. Clones share them.
#[derive(Clone)]
pub struct Config(pub(super) Arc<Checked>);

#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) window: u32,
    pub(super) max_window: u32,
    pub(super) max_incoming: u32,
    pub(super) backlog: u32,
    pub(super) max_frame: u32,
    pub(super) max_held: usize,
    pub(super) memory_patience: Duration,
    pub(super) keep_alive: Option<Duration>,
    pub(super) keep_alive_answer: Duration,
    pub(super) write_timeout: Option<Duration>,
    pub(super) open_timeout: Option<Duration>,
    pub(super) linger: Duration,
}

impl Config {
    /// Describes settings, beginning with the defaults.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self(Arc::new(ConfigBuilder::default().0))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Describes a [`Config`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ConfigBuilder(Checked);

impl Default for ConfigBuilder {
    fn default() -> Self {
        Self(Checked {
            window: limits::WINDOW,
            max_window: 4 << 20,
            max_incoming: limits::MAX_INCOMING,
            backlog: limits::BACKLOG,
            max_frame: limits::MAX_FRAME,
            max_held: limits::MAX_HELD,
            memory_patience: limits::MEMORY_PATIENCE,
            keep_alive: Some(limits::KEEP_ALIVE),
            keep_alive_answer: limits::KEEP_ALIVE_ANSWER,
            write_timeout: Some(limits::WRITE_TIMEOUT),
            open_timeout: None,
            linger: limits::LINGER,
        })
    }
}

impl ConfigBuilder {
    /// The window of a new stream, in bytes: how much the peer may send before it is read. 256 KiB, which is also the least, to
    /// 16 MiB; 512 KiB unless set.
    pub fn window(mut self, bytes: u32) -> Self {
        self.0.window = bytes;
        self.0.max_window = self.0.max_window.max(bytes);
        self
    }

    /// To how many bytes a window may grow where the distance to the peer asks for it: when a window is used up within one
    /// round trip of at least 1 ms. All windows of a session grow by at most 16 MiB together. At most 16 MiB; 4 MiB unless set.
    /// The size of [`window`](Self::window) means that windows do not grow.
    pub fn max_window(mut self, bytes: u32) -> Self {
        self.0.max_window = bytes;
        self
    }

    /// How many streams the peer may have open; one more is reset. 1,024 unless set.
    pub fn max_incoming(mut self, streams: u32) -> Self {
        self.0.max_incoming = streams;
        self
    }

    /// How many streams may wait to be accepted; one more is reset. 256 unless set.
    pub fn backlog(mut self, streams: u32) -> Self {
        self.0.backlog = streams;
        self
    }

    /// The longest body of a frame that is sent, in bytes: 1 KiB to 64 KiB, which it is unless set. Other streams wait for
    /// the end of a frame. Frames of any length are received.
    pub fn max_frame(mut self, bytes: u32) -> Self {
        self.0.max_frame = bytes;
        self
    }

    /// How many bytes of the pool received data may occupy while no stream has read it; a stream that would exceed it is
    /// reset. 32 MiB unless set, and at least two windows.
    pub fn max_held(mut self, bytes: usize) -> Self {
        self.0.max_held = bytes;
        self
    }

    /// How long a body waits at the pool's cap before its stream is reset, so that the frames behind it can be read. 1 s unless set.
    pub fn memory_patience(mut self, time: Duration) -> Self {
        self.0.memory_patience = time;
        self
    }

    /// After how much silence of the peer a ping is sent, and how long after that any sign of life is awaited before the session
    /// ends. 30 s and 10 s unless set.
    pub fn keep_alive(mut self, silence: Duration, answer: Duration) -> Self {
        self.0.keep_alive = Some(silence);
        self.0.keep_alive_answer = answer;
        self
    }

    /// Sends no pings: the session lasts as long as the connection.
    pub fn no_keep_alive(mut self) -> Self {
        self.0.keep_alive = None;
        self
    }

    /// How long the connection may take no byte before the session ends. 30 s unless set; `None` is forever.
    pub fn write_timeout(mut self, time: Option<Duration>) -> Self {
        self.0.write_timeout = time;
        self
    }

    /// How long the peer may take to acknowledge a stream before that stream, and only it, fails. No limit unless set:
    /// some peers acknowledge with their first answer.
    pub fn open_timeout(mut self, time: Option<Duration>) -> Self {
        self.0.open_timeout = time;
        self
    }

    /// How long what still comes is read and dropped after the last frame, so that it arrives. 1 s unless set.
    pub fn linger(mut self, time: Duration) -> Self {
        self.0.linger = time;
        self
    }

    /// Checks the description.
    pub fn build(self) -> Result<Config, ConfigError> {
        let checked = self.0;
        let windows = limits::INITIAL_WINDOW..=limits::MAX_WINDOW;
        if !windows.contains(&checked.window) {
            return Err(ConfigError::Window(checked.window));
        }
        if !(checked.window..=limits::MAX_WINDOW).contains(&checked.max_window) {
            return Err(ConfigError::MaxWindow(checked.max_window));
        }
        if !(1 << 10..=limits::MAX_FRAME).contains(&checked.max_frame) {
            return Err(ConfigError::MaxFrame(checked.max_frame));
        }
        if checked.max_held < 2 * checked.max_window as usize {
            return Err(ConfigError::MaxHeld(checked.max_held));
        }
        let times = [checked.keep_alive, checked.write_timeout, checked.open_timeout];
        if times.contains(&Some(Duration::ZERO)) || checked.keep_alive_answer.is_zero() {
            return Err(ConfigError::ZeroTime);
        }
        Ok(Config(Arc::new(checked)))
    }
}

/// Why a [`Config`] cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A window of so many bytes.
    Window(u32),
    /// Windows that grow to so many bytes.
    MaxWindow(u32),
    /// Frames of so many bytes.
    MaxFrame(u32),
    /// So many bytes for received data.
    MaxHeld(usize),
    /// A time limit of nothing.
    ZeroTime,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window(bytes) => {
                write!(f, "a window of {bytes} bytes: it must have 256 KiB to 16 MiB")
            }
            Self::MaxWindow(bytes) => write!(
                f,
                "windows that grow to {bytes} bytes: that must be at least the window and at most 16 MiB"
            ),
            Self::MaxFrame(bytes) => {
                write!(f, "frames of {bytes} bytes: they must have 1 KiB to 64 KiB")
            }
            Self::MaxHeld(bytes) => write!(
                f,
                "{bytes} bytes for received data: at least two of the largest windows must fit"
            ),
            Self::ZeroTime => f.write_str("a time limit of 0: leave it out, or give it a length"),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Config::builder().build().unwrap();
    }

    #[test]
    fn each_setting_is_checked() {
        let error = |builder: ConfigBuilder| builder.build().map(drop).unwrap_err();
        let new = Config::builder;
        assert_eq!(error(new().window(262_143)), ConfigError::Window(262_143));
        assert_eq!(error(new().window((16 << 20) + 1)), ConfigError::Window((16 << 20) + 1));
        assert_eq!(
            error(new().window(1 << 20).max_window(1 << 19)),
            ConfigError::MaxWindow(1 << 19)
        );
        assert_eq!(error(new().max_frame(1_023)), ConfigError::MaxFrame(1_023));
        assert_eq!(error(new().max_frame(65_537)), ConfigError::MaxFrame(65_537));
        assert_eq!(error(new().max_held(1 << 20)), ConfigError::MaxHeld(1 << 20));
        let zero = Duration::ZERO;
        assert_eq!(error(new().keep_alive(zero, limits::LINGER)), ConfigError::ZeroTime);
        assert_eq!(error(new().keep_alive(limits::LINGER, zero)), ConfigError::ZeroTime);
        assert_eq!(error(new().write_timeout(Some(zero))), ConfigError::ZeroTime);
        assert_eq!(error(new().open_timeout(Some(zero))), ConfigError::ZeroTime);
    }
}
