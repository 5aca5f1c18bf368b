//! What is set on sockets before they are connected, whatever runs over them. Connections take it over from their listener.

use std::io;
use std::sync::Arc;

use socket2::SockRef;

#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    /// How senders keep from sending more than the network takes (`TCP_CONGESTION`); the system's choice otherwise.
    pub(crate) congestion: Option<Arc<str>>,
    /// How many bytes the kernel takes that it cannot send yet (`TCP_NOTSENT_LOWAT`); the system's choice otherwise.
    pub(crate) unsent_limit: Option<u32>,
}

impl SocketOptions {
    /// Sets them.
    ///
    /// # Errors
    /// The system's, where it has no such option, or no algorithm of that name that this process may use.
    pub(crate) fn apply<'socket>(&self, socket: impl Into<SockRef<'socket>>) -> io::Result<()> {
        let socket = socket.into();
        if let Some(name) = &self.congestion {
            socket.set_tcp_congestion(name.as_bytes())?;
        }
        if let Some(bytes) = self.unsent_limit {
            socket.set_tcp_notsent_lowat(bytes)?;
        }
        Ok(())
    }
}
