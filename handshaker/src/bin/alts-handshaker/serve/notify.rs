//! Tells systemd how far the daemon has come: `sd_notify(3)`, for units of `Type=notify`.

use std::env;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where systemd wants to be told. Not there without it.
const SOCKET: &str = "NOTIFY_SOCKET";

pub(super) fn ready() {
    tell("READY=1");
}

pub(super) fn stopping() {
    tell("STOPPING=1");
}

fn tell(state: &str) {
    let Some(name) = env::var_os(SOCKET) else { return };
    let told = address(name.as_bytes())
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(fault) = told {
        tracing::warn!(%fault, state, "cannot notify systemd");
    }
}

/// A path, or a name in the abstract namespace that begins with `@`.
fn address(name: &[u8]) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))
}
