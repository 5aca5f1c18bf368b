//! The command `alts` as its users run it: processes, sockets, signals, files.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod arguments;
mod connect;
mod endings;
mod operation;
mod pair;
mod process;
