//! A process without descriptors that looks at its identity's files. Alone in its process, whose limit it lowers.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs::{self, File};
use std::time::SystemTime;

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::identity::{IdentityError, IdentityFiles, IdentitySource};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Whoever exhausts the descriptors of a server must not make it refuse everybody: a file that could not be opened says nothing.
#[test]
fn what_files_said_stays_while_they_cannot_be_opened() {
    let now = SystemTime::now();
    let folder = tempfile::tempdir().unwrap();
    let authority = DevCa::new(now).unwrap();
    authority.issue("spiffe://dev.local/us", now).unwrap().save(folder.path()).unwrap();
    let bundle = folder.path().join("bundle.pem");
    fs::write(&bundle, authority.bundle_pem()).unwrap();
    let files =
        IdentityFiles::builder(folder.path().join("chain.pem"), folder.path().join("key.pem"))
            .bundle(authority.trust_domain().clone(), &bundle)
            .allow_development_domain()
            .load(now)
            .unwrap();
    let authorities = || files.snapshot().unwrap().trust().authorities(authority.trust_domain());
    assert_eq!(authorities(), 1);

    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    let fault = files.reload_if_changed(now).unwrap_err();
    assert!(matches!(fault.fault(), IdentityError::OutOfResources { .. }), "{fault}");
    assert_eq!(authorities(), 1);
    assert!(files.unusable_trust_domains().is_empty());
    assert!(files.last_error().is_some(), "it is told");

    // With descriptors again, what the files say counts: a bundle that is gone as well.
    drop(held);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    assert_eq!(files.reload_if_changed(now), Ok(false));
    assert_eq!(files.last_error(), None);
    fs::remove_file(&bundle).unwrap();
    files.reload_if_changed(now).unwrap_err();
    assert_eq!(authorities(), 0);
}
