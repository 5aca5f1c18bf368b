//! What happens between two looks at the files.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::Path;

use super::*;
use crate::dev_ca::DevCa;
use crate::identity::TrustBundles;

const ID: &str = "spiffe://dev.local/us";
const BUNDLE: &str = "bundle.pem";

struct Watched {
    folder: tempfile::TempDir,
    authority: DevCa,
    files: IdentityFiles,
    now: SystemTime,
}

impl Watched {
    fn new() -> Self {
        let now = SystemTime::now();
        let folder = tempfile::tempdir().unwrap();
        let authority = DevCa::new(now).unwrap();
        authority.issue(ID, now).unwrap().save(folder.path()).unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path(BUNDLE), authority.bundle_pem()).unwrap();
        let files = IdentityFiles::builder(path("chain.pem"), path("key.pem"))
            .bundle(authority.trust_domain().clone(), path(BUNDLE))
            .allow_development_domain()
            .load(now)
            .unwrap();
        Self { folder, authority, files, now }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(Path::join(self.folder.path(), name), text).unwrap();
    }

    fn is_trusted(&self) -> bool {
        let identity = self.files.snapshot().unwrap();
        let trust: &TrustBundles = identity.trust();
        trust.authorities(self.authority.trust_domain()) > 0
    }
}

/// As spiffe-helper writes: the file is cut off first, and whole a moment later.
#[test]
fn a_file_that_is_being_written_harms_nobody() {
    let watched = Watched::new();
    let bundle = watched.authority.bundle_pem();
    for torn in ["", &bundle[..bundle.len() / 2]] {
        watched.write(BUNDLE, torn);
        let mut looks = 0;
        let reloaded = watched.files.shared.reload_after(watched.now, || {
            assert!(watched.is_trusted(), "until the second look nothing takes effect");
            looks += 1;
            watched.write(BUNDLE, bundle);
        });
        assert_eq!((reloaded, looks), (Ok(false), 1));
        assert!(watched.is_trusted());
        assert_eq!((watched.files.failures(), watched.files.reloads()), (0, 0));
    }
}

#[test]
fn what_is_there_at_the_second_look_takes_effect() {
    let watched = Watched::new();
    let bundle = watched.authority.bundle_pem();
    let renewed = format!("{bundle}{}", DevCa::new(watched.now).unwrap().bundle_pem());
    watched.write(BUNDLE, "");
    let reloaded =
        watched.files.shared.reload_after(watched.now, || watched.write(BUNDLE, &renewed));
    assert_eq!(reloaded, Ok(true));
    let identity = watched.files.snapshot().unwrap();
    assert_eq!(identity.trust().authorities(watched.authority.trust_domain()), 2);
}

#[test]
fn a_file_that_stays_broken_counts_after_the_second_look() {
    let watched = Watched::new();
    watched.write(BUNDLE, "");
    let mut looks = 0;
    let broken = watched.files.shared.reload_after(watched.now, || looks += 1);
    assert!(broken.is_err() && !watched.is_trusted());
    assert_eq!((looks, watched.files.failures(), watched.files.reloads()), (1, 1, 1));
    // What is known to be broken is not waited for again, and nor is what is good.
    let again = || unreachable!("nothing has changed");
    assert!(watched.files.shared.reload_after(watched.now, again).is_err());
    watched.write(BUNDLE, watched.authority.bundle_pem());
    let good = || unreachable!("it is good");
    assert_eq!(watched.files.shared.reload_after(watched.now, good), Ok(true));
    assert!(watched.is_trusted());
}
