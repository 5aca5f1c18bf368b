//! Tells systemd how far a program has come: `sd_notify(3)`, for units of `Type=notify`.

use std::env;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where systemd wants to be told. Not there without it.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Says that the program serves.
pub fn ready() {
    tell("READY=1");
}

/// Says that the program reads its files again; [`ready`] ends that. `since` is the monotonic clock, in microseconds.
pub fn reloading(since: u64) {
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={since}"));
}

/// Says that the program is ending.
pub fn stopping() {
    tell("STOPPING=1");
}

/// Says that the program is alive.
pub fn watchdog() {
    tell("WATCHDOG=1");
}

/// How often [`watchdog`] is expected, if systemd watches this process: half of `WATCHDOG_USEC`.
pub fn watchdog_interval() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    if number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id())) {
        return None;
    }
    number("WATCHDOG_USEC").filter(|limit| *limit > 0).map(|limit| Duration::from_micros(limit / 2))
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
