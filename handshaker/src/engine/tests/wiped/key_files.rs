//! What is left of a private key's file in memory when the key has been loaded, and loaded again.
//!
//! *ring* holds the key itself, in a form that is not the file's: neither the text nor the bytes that the text stands for.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use pki_types::PrivateKeyDer;
use pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::{MESSAGE, Named, Names, PARENT, look, receive, send, wait, with_child};
use crate::engine::tests::now;
use crate::identity::IdentityFiles;

/// Loads the files of a directory, loads them again when they have changed, and drops what it has. Passes at once where there
/// is no parent, as when all tests are run.
#[test]
fn child() {
    let Some(parent) = env::var_os(PARENT) else { return };
    let mut socket = UnixStream::connect(parent).unwrap();
    let directory = PathBuf::from(String::from_utf8(receive(&mut socket, MESSAGE)).unwrap());
    let both = directory.join("both.pem");
    // What is not wiped is found.
    let kept = Zeroizing::new(fs::read(&both).unwrap());
    wait(&mut socket);
    drop(kept);
    let files = IdentityFiles::builder(&both, &both)
        .bundle("test.example".parse().unwrap(), directory.join("bundle.pem"))
        .load(now())
        .unwrap();
    wait(&mut socket);
    OpenOptions::new().append(true).open(&both).unwrap().write_all(b"#").unwrap();
    assert_eq!(files.reload_if_changed(now()), Ok(true));
    wait(&mut socket);
    drop(files);
    wait(&mut socket);
}

/// Writes the identity, and gives what of it has to be secret.
fn write(directory: &Path) -> Vec<Named> {
    let read = |name: &str| {
        fs::read_to_string(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let key = read("rsa.key.pem");
    let both = directory.join("both.pem");
    fs::write(&both, format!("{}{key}", read("rsa.chain.pem"))).unwrap();
    fs::set_permissions(&both, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(directory.join("bundle.pem"), read("test.example.bundle.pem")).unwrap();

    let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let der = der.secret_der();
    // Behind the modulus, which is public and of which *ring* keeps copies: the private exponent, the primes and so on. Lines
    // are 64 characters long.
    let lines: Vec<_> = key.lines().filter(|line| !line.starts_with('-')).collect();
    let text = lines[lines.len() / 2..].join("\n");
    vec![("text", text.into_bytes()), ("bytes", der[der.len() / 2..].to_vec())]
}

#[test]
fn loading_a_key_leaves_no_copy_of_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let secrets = write(directory.path());
    let child = "engine::tests::wiped::key_files::child";
    let found = with_child(child, |socket, memory| {
        send(socket, MESSAGE, directory.path().to_str().unwrap().as_bytes());
        let kept = look(socket, memory, &secrets);
        let loaded = look(socket, memory, &secrets);
        [kept, loaded, look(socket, memory, &secrets), look(socket, memory, &secrets)]
    });
    match found {
        Some([kept, rest @ ..]) => {
            assert_eq!(kept, ["text"].into());
            // Loaded, loaded again, dropped.
            assert_eq!(rest, [Names::new(), Names::new(), Names::new()]);
        }
        None => println!("SKIPPED: this system does not let a process read its child's memory"),
    }
}
