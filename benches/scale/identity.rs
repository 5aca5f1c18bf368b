//! Identities of both ends, in files.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use alts::handshaker::dev_ca::{BUNDLE_FILE, CHAIN_FILE, DevCa, KEY_FILE};

use super::Error;

pub(crate) const CLIENT: &str = "client";
pub(crate) const SERVER: &str = "server";
pub(crate) const SERVER_ID: &str = "spiffe://dev.local/server";

/// Makes an authority, and an identity for each side in a directory of its own.
pub(crate) fn write(directory: &Path) -> Result<(), Error> {
    let now = SystemTime::now();
    let ca = DevCa::new(now)?;
    for side in [CLIENT, SERVER] {
        ca.issue(&format!("spiffe://dev.local/{side}"), now)?.save(&directory.join(side))?;
    }
    Ok(())
}

/// Tells a child where its identity is.
pub(crate) fn tell(command: &mut Command, directory: &Path, side: &str) {
    let directory = directory.join(side);
    let mut bundle = std::ffi::OsString::from("dev.local=");
    bundle.push(directory.join(BUNDLE_FILE));
    command.arg("--cert").arg(directory.join(CHAIN_FILE));
    command.arg("--key").arg(directory.join(KEY_FILE));
    command.arg("--bundle").arg(bundle).arg("--dev");
}
