//! The command `alts` as its users run it: processes, sockets, signals, files.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod addresses;
mod arguments;
mod connect;
mod endings;
mod faults;
mod operation;
mod pair;
mod process;
mod resumption;
