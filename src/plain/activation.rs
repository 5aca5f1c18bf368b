//! Sockets that systemd opened: `sd_listen_fds(3)`.

use std::env;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// The sockets that systemd passed to this process, by the names of their units. Each can be taken once.
pub struct Activation {
    names: Vec<String>,
    sockets: ListenFd,
}

/// A listening socket that systemd passed.
#[derive(Debug)]
pub(super) enum Activated {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Activation {
    /// Looks at the variables `LISTEN_FDS`, `LISTEN_FDNAMES` and `LISTEN_PID`, which systemd sets. Only the first look finds
    /// sockets.
    pub fn from_env() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').map(str::to_owned).collect();
        Self { names, sockets: ListenFd::from_env() }
    }

    /// Takes all sockets called `name`; a socket unit may have several addresses.
    pub(super) fn take(&mut self, name: &str) -> io::Result<Vec<Activated>> {
        let missing = |text| Err(io::Error::new(io::ErrorKind::NotFound, text));
        if self.sockets.len() == 0 {
            return missing(format!(
                "systemd:{name}: systemd passed no sockets. Start this program by a .socket unit with FileDescriptorName={name}"
            ));
        }
        let mut taken = Vec::new();
        for index in 0..self.sockets.len() {
            if self.names.get(index).is_none_or(|found| found != name) {
                continue;
            }
            if let Ok(Some(listener)) = self.sockets.take_tcp_listener(index) {
                taken.push(Activated::Tcp(listener));
            } else if let Ok(Some(listener)) = self.sockets.take_unix_listener(index) {
                taken.push(Activated::Unix(listener));
            } else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!(
                        "systemd:{name}: it is not a listening stream socket, or is used twice"
                    ),
                ));
            }
        }
        if taken.is_empty() {
            return missing(format!(
                "systemd:{name}: systemd passed no socket of this name, only {}",
                self.names.join(", ")
            ));
        }
        Ok(taken)
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activation").field("names", &self.names).finish_non_exhaustive()
    }
}
