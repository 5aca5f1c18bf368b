//! A Unix socket that replaces what a dead daemon left, and nothing else.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Of directories that are made for a socket.
const DIRECTORY_MODE: u32 = 0o750;

/// Anybody may write; the sticky bit keeps them from each other's files.
const FOR_ALL: u32 = 0o0002;
const STICKY: u32 = 0o1000;

/// The right to a path. Dropping it takes the socket away.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    made: (u64, u64),
    /// Locked as long as the path is in use, so that of two daemons that start at once only one removes what is stale.
    _lock: File,
}

/// Listens at `path`, with the permission bits `mode`. Makes the directory if it is missing, and replaces a socket that nobody
/// listens at.
pub fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    prepare_directory(path)?;
    let lock = lock(path)?;
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?;
    // Until here the process's umask decides, which denies others the writing that connecting takes.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    let made = identity_of(path)?;
    Ok((listener, SocketFile { path: path.to_owned(), made, _lock: lock }))
}

fn prepare_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|parent| *parent != Path::new("")) else {
        return Ok(());
    };
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    let mode = fs::metadata(directory)?.permissions().mode();
    if mode & FOR_ALL != 0 && mode & STICKY == 0 {
        return Err(io::Error::other(format!(
            "any user may write to {}, and so replace this socket by another",
            directory.display()
        )));
    }
    Ok(())
}

fn lock(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use()),
        Err(TryLockError::Error(fault)) => Err(fault),
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(fault) => return Err(fault),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file that is no socket",
        ));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(in_use()),
        Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(fault) => Err(fault),
    }
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")
}

fn identity_of(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Not what somebody else has put there since.
        if identity_of(&self.path).is_ok_and(|found| found == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_the_directory_and_sets_the_modes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/alts/handshaker.sock");
        let (_listener, file) = bind(&path, 0o660).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o660);
        assert_eq!(mode(path.parent().unwrap()) & !DIRECTORY_MODE, 0);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn only_a_dead_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        // Left by a daemon that was killed.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (listener, file) = bind(&path, 0o600).unwrap();
        assert_eq!(bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop((listener, file));

        let _others = UnixListener::bind(&path).unwrap();
        assert_eq!(bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();

        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_successors_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let (listener, file) = bind(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        let _successor = UnixListener::bind(&path).unwrap();
        drop((listener, file));
        assert!(path.exists());
    }

    #[test]
    fn a_directory_for_everybody_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(bind(&open.join("socket"), 0o600).is_err());
        fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
        assert!(bind(&open.join("socket"), 0o600).is_ok());
    }
}
