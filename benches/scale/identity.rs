//! Where children find their identities.

use std::path::Path;
use std::process::Command;

use alts::handshaker::dev_ca::{BUNDLE_FILE, CHAIN_FILE, KEY_FILE};

pub(crate) const CLIENT: &str = "client";
pub(crate) const SERVER: &str = "server";

/// Tells a child where its identity is.
pub(crate) fn tell(command: &mut Command, directory: &Path, side: &str) {
    let directory = directory.join(side);
    let mut bundle = std::ffi::OsString::from("dev.local=");
    bundle.push(directory.join(BUNDLE_FILE));
    command.arg("--cert").arg(directory.join(CHAIN_FILE));
    command.arg("--key").arg(directory.join(KEY_FILE));
    command.arg("--bundle").arg(bundle).arg("--dev");
}
