//! Reading one file.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::super::error::IdentityError;

/// The largest file, in bytes. A revocation list of a few hundred thousand entries fits.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Who may use a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Nobody but its owner, and root.
    OwnerOnly,
    Allowed,
}

/// Reads a file, links followed. The permissions looked at are those of the very file that is read.
pub(super) fn read_file(
    path: &Path,
    sharing: Sharing,
) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    read(path, sharing).map_err(|fault| fault.in_file(path))
}

fn read(path: &Path, sharing: Sharing) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let file = File::open(path).map_err(|fault| unreadable(&fault))?;
    let metadata = file.metadata().map_err(|fault| unreadable(&fault))?;
    if metadata.len() > MAX_FILE_BYTES {
        return Err(IdentityError::FileTooLarge);
    }
    if sharing == Sharing::OwnerOnly {
        check_owner_only(&metadata)?;
    }
    // A vector that grows would leave copies of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|fault| unreadable(&fault))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(IdentityError::FileTooLarge);
    }
    Ok(bytes)
}

#[cfg(unix)]
fn check_owner_only(metadata: &Metadata) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;

    /// All permissions of the group and of the rest of the world.
    const OTHERS: u32 = 0o077;

    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 { Ok(()) } else { Err(IdentityError::SharedKeyFile { mode }) }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn check_owner_only(_metadata: &Metadata) -> Result<(), IdentityError> {
    Ok(())
}

fn unreadable(fault: &io::Error) -> IdentityError {
    IdentityError::Read { kind: fault.kind(), message: fault.to_string() }
}
