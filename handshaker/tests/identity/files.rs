//! Identity files and their reload.
#![cfg(unix)]

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alts_handshaker::identity::{
    CertificateError, IdentityError, IdentityFiles, IdentityFilesBuilder, IdentitySource,
};
use rcgen::ExtendedKeyUsagePurpose;
use tempfile::TempDir;

use super::authority::{
    Authority, HOUR, Leaf, NOW, at, authority_params, date, domain, leaf_params, now,
};
use super::log::logged;

pub(crate) struct Directory {
    pub(crate) dir: TempDir,
    pub(crate) home: Authority,
}

impl Directory {
    /// A directory with a good identity in it.
    pub(crate) fn new() -> Self {
        Self::of(Authority::root("home"))
    }

    /// As [`new`](Self::new), under this authority.
    pub(crate) fn of(home: Authority) -> Self {
        let directory = Self { dir: tempfile::tempdir().unwrap(), home };
        directory.renew("spiffe://example.org/us");
        directory
    }

    pub(crate) fn write(&self, dir: &Path, leaf: &Leaf) {
        fs::write(dir.join("tls.crt"), &leaf.pem).unwrap();
        fs::write(dir.join("ca.crt"), &self.home.pem).unwrap();
        let key = dir.join("tls.key");
        fs::write(&key, &leaf.key_pem).unwrap();
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn builder(&self) -> IdentityFilesBuilder {
        IdentityFiles::builder(self.path("tls.crt"), self.path("tls.key"))
            .bundle(domain("example.org"), self.path("ca.crt"))
    }

    pub(crate) fn load(&self) -> IdentityFiles {
        self.builder().load(now()).unwrap()
    }

    pub(crate) fn fault(&self) -> IdentityError {
        self.builder().load(now()).unwrap_err()
    }

    /// Replaces the leaf and its key.
    pub(crate) fn renew(&self, id: &str) {
        self.write(self.dir.path(), &self.home.leaf(id));
    }
}

pub(crate) fn name(files: &IdentityFiles) -> String {
    files.snapshot().unwrap().id().to_string()
}

#[test]
fn good_files_give_an_identity() {
    let directory = Directory::new();
    let files = directory.load();
    let identity = files.snapshot().unwrap();
    assert_eq!(identity.id().as_str(), "spiffe://example.org/us");
    assert_eq!(identity.not_after(), at(NOW + HOUR));
    assert_eq!(identity.chain().len(), 1);
    assert!(Arc::ptr_eq(&identity, &files.clone().snapshot().unwrap()));
    assert_eq!(files.reload_if_changed(now()), Ok(false));
    assert_eq!((files.reloads(), files.failures(), files.last_error()), (0, 0, None));
    assert_eq!(format!("{files:?}"), "IdentityFiles { id: spiffe://example.org/us, .. }");
}

#[test]
fn key_and_chain_may_be_in_one_file() {
    let directory = Directory::new();
    let both = [directory.path("tls.crt"), directory.path("tls.key")]
        .map(|path| fs::read_to_string(path).unwrap())
        .concat();
    fs::write(directory.path("tls.key"), both).unwrap();
    fs::copy(directory.path("tls.key"), directory.path("tls.crt")).unwrap();
    directory.load();
}

#[test]
fn a_missing_or_unreadable_file_is_named() {
    for missing in ["tls.crt", "tls.key", "ca.crt"] {
        let directory = Directory::new();
        let path = directory.path(missing);
        fs::remove_file(&path).unwrap();
        let fault = directory.fault();
        assert_eq!(fault.file(), Some(&*path));
        assert!(matches!(fault.fault(), IdentityError::Read { kind: io::ErrorKind::NotFound, .. }));
        assert!(fault.to_string().contains(missing), "{fault}");

        // Root may read any file; nobody may read a directory.
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let fault = directory.fault();
        assert_eq!(fault.file(), Some(&*path));
        assert!(matches!(fault.fault(), IdentityError::Read { .. }), "{fault}");
    }
}

#[test]
fn a_key_that_others_may_use_is_refused_unless_allowed() {
    let directory = Directory::new();
    let key = directory.path("tls.key");
    for mode in [0o644, 0o640, 0o604, 0o660, 0o602, 0o444] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let fault = directory.fault();
        assert_eq!(fault.file(), Some(&*key));
        assert_eq!(*fault.fault(), IdentityError::SharedKeyFile { mode });
        let text = fault.to_string();
        for part in
            ["tls.key", &format!("{mode:04o}"), "defaultMode: 0400", "allow_shared_key_file"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(directory.builder().allow_shared_key_file().load(now()).is_ok());
    }
    for mode in [0o600, 0o400, 0o700] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert!(directory.builder().load(now()).is_ok());
    }
}

/// Without any change of what is in it.
#[test]
fn a_key_that_others_may_use_from_now_on_is_noticed() {
    let directory = Directory::new();
    let files = directory.load();
    let key = directory.path("tls.key");
    for _ in 0..2 {
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let fault = files.reload_if_changed(now()).unwrap_err();
        assert_eq!(*fault.fault(), IdentityError::SharedKeyFile { mode: 0o644 });
        assert_eq!(name(&files), "spiffe://example.org/us");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(files.reload_if_changed(now()), Ok(false));
    }
}

#[test]
fn the_target_of_a_link_is_what_counts() {
    let directory = Directory::new();
    let (key, target) = (directory.path("tls.key"), directory.path("target"));
    fs::rename(&key, &target).unwrap();
    symlink(&target, &key).unwrap();
    // The link itself is lrwxrwxrwx.
    directory.load();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(*directory.fault().fault(), IdentityError::SharedKeyFile { mode: 0o644 });
}

#[test]
fn bad_contents_are_blamed_on_their_file() {
    let directory = Directory::new();
    let other = directory.home.leaf("spiffe://example.org/us");
    let key = directory.path("tls.key");
    fs::write(&key, &other.key_pem).unwrap();
    let fault = directory.fault();
    assert_eq!((fault.file(), fault.fault()), (Some(&*key), &IdentityError::KeyMismatch));
    fs::write(&key, "nothing").unwrap();
    let fault = directory.fault();
    assert_eq!((fault.file(), fault.fault()), (Some(&*key), &IdentityError::NoPrivateKey));

    directory.renew("spiffe://example.org/us");
    let chain = directory.path("tls.crt");
    fs::write(&chain, &Authority::root("other").leaf("spiffe://example.org/us").pem).unwrap();
    let fault = directory.fault();
    assert_eq!(fault.file(), Some(&*chain));
    assert_eq!(*fault.fault(), IdentityError::Chain(CertificateError::Untrusted));

    // Chain and key swapped: what is in them is looked at before who may read them.
    directory.renew("spiffe://example.org/us");
    let [chain_pem, key_pem] = [&chain, &key].map(|path| fs::read_to_string(path).unwrap());
    fs::write(&key, &chain_pem).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let fault = directory.fault();
    assert_eq!((fault.file(), fault.fault()), (Some(&*key), &IdentityError::ChainInPlaceOfKey));
    fs::write(&chain, &key_pem).unwrap();
    let fault = directory.fault();
    assert_eq!((fault.file(), fault.fault()), (Some(&*chain), &IdentityError::KeyInPlaceOfChain));

    directory.renew("spiffe://example.org/us");
    let bundle = directory.path("ca.crt");
    fs::write(&bundle, &other.pem).unwrap();
    let fault = directory.fault();
    assert_eq!(fault.file(), Some(&*bundle));
    assert!(matches!(fault.fault(), IdentityError::Anchor(_)));
}

#[test]
fn a_huge_file_is_not_read() {
    const MOST: usize = 16 * 1024 * 1024;
    let directory = Directory::new();
    let bundle = fs::File::create(directory.path("ca.crt")).unwrap();
    bundle.set_len(MOST as u64 + 1).unwrap();
    assert_eq!(*directory.fault().fault(), IdentityError::FileTooLarge);
    // One that does not say how long it is.
    fs::remove_file(directory.path("ca.crt")).unwrap();
    symlink("/dev/zero", directory.path("ca.crt")).unwrap();
    assert_eq!(*directory.fault().fault(), IdentityError::FileTooLarge);
    // The largest is read to its end.
    fs::remove_file(directory.path("ca.crt")).unwrap();
    let padding = "\n".repeat(MOST - directory.home.pem.len());
    fs::write(directory.path("ca.crt"), padding + &directory.home.pem).unwrap();
    directory.load();
}

#[test]
fn development_files_are_refused_unless_allowed() {
    let directory = Directory::new();
    directory.renew("spiffe://dev.local/us");
    let builder = || {
        IdentityFiles::builder(directory.path("tls.crt"), directory.path("tls.key"))
            .bundle(domain("dev.local"), directory.path("ca.crt"))
    };
    let fault = builder().load(now()).unwrap_err();
    assert_eq!(*fault.fault(), IdentityError::DevelopmentDomain(domain("dev.local")));
    assert!(builder().allow_development_domain().load(now()).is_ok());
    // A development leaf with the bundle of another domain.
    assert_eq!(*directory.fault().fault(), IdentityError::DevelopmentDomain(domain("dev.local")));
}

#[test]
fn changed_files_are_taken_over() {
    let directory = Directory::new();
    let files = directory.load();
    let before = files.snapshot().unwrap();
    directory.renew("spiffe://example.org/renewed");
    assert_eq!(name(&files), "spiffe://example.org/us");
    assert_eq!(files.reload_if_changed(now()), Ok(true));
    assert_eq!(name(&files), "spiffe://example.org/renewed");
    assert_eq!(files.reload_if_changed(now()), Ok(false));
    assert_eq!((files.reloads(), files.failures()), (1, 0));
    // Handshakes under way keep what they began with.
    assert_eq!(before.id().as_str(), "spiffe://example.org/us");
    assert_ne!(before.epoch(), files.snapshot().unwrap().epoch());
}

#[test]
fn rewriting_the_same_content_changes_nothing() {
    let directory = Directory::new();
    let files = directory.load();
    for file in ["tls.crt", "tls.key", "ca.crt"] {
        let content = fs::read(directory.path(file)).unwrap();
        fs::write(directory.path(file), content).unwrap();
    }
    assert_eq!(files.reload_if_changed(now()), Ok(false));
}

#[test]
fn a_bundle_and_a_revocation_list_are_reloaded_too() {
    let directory = Directory::new();
    fs::write(directory.path("crl.pem"), directory.home.crl(&[1], NOW + HOUR)).unwrap();
    let files = directory
        .builder()
        .crl(domain("example.org"), directory.path("crl.pem"))
        .load(now())
        .unwrap();
    fs::write(directory.path("crl.pem"), directory.home.crl(&[1, 2], NOW + HOUR)).unwrap();
    assert_eq!(files.reload_if_changed(now()), Ok(true));
    let more = format!("{}{}", directory.home.pem, Authority::root("next").pem);
    fs::write(directory.path("ca.crt"), more).unwrap();
    assert_eq!(files.reload_if_changed(now()), Ok(true));
    fs::write(directory.path("crl.pem"), "").unwrap();
    let fault = files.reload_if_changed(now()).unwrap_err();
    assert_eq!(fault.file(), Some(&*directory.path("crl.pem")));
}

/// As the kubelet does it: the files are links into `..data`, a link that is replaced in one step.
#[test]
fn a_kubernetes_volume_is_followed() {
    let directory = Directory::new();
    let root = directory.dir.path();
    let publish = |version: &str, id: &str| {
        let dir = root.join(version);
        fs::create_dir(&dir).unwrap();
        directory.write(&dir, &directory.home.leaf(id));
        symlink(version, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    for file in ["tls.crt", "tls.key", "ca.crt"] {
        fs::remove_file(root.join(file)).unwrap();
        symlink(Path::new("..data").join(file), root.join(file)).unwrap();
    }
    publish("..2026_03_01", "spiffe://example.org/first");
    let files = directory.load();
    assert_eq!(name(&files), "spiffe://example.org/first");
    publish("..2026_03_02", "spiffe://example.org/second");
    fs::remove_dir_all(root.join("..2026_03_01")).unwrap();
    assert_eq!(files.reload_if_changed(now()), Ok(true));
    assert_eq!(name(&files), "spiffe://example.org/second");
    // The new directory's key is looked at, not the old one's.
    publish("..2026_03_03", "spiffe://example.org/third");
    let key = root.join("..2026_03_03/tls.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let fault = files.reload_if_changed(now()).unwrap_err();
    assert_eq!(*fault.fault(), IdentityError::SharedKeyFile { mode: 0o644 });
    assert_eq!(name(&files), "spiffe://example.org/second");
}

#[test]
fn broken_files_leave_the_old_identity_and_are_counted() {
    let directory = Directory::new();
    let files = directory.load();
    let good = fs::read(directory.path("tls.crt")).unwrap();

    // Half way through a renewal: the new chain with the old key.
    let renewed = directory.home.leaf("spiffe://example.org/renewed");
    fs::write(directory.path("tls.crt"), &renewed.pem).unwrap();
    let fault = files.reload_if_changed(now()).unwrap_err();
    assert_eq!(*fault.fault(), IdentityError::KeyMismatch);
    assert_eq!(files.last_error(), Some(fault.clone()));
    assert_eq!(files.reload_if_changed(now()), Err(fault));
    assert_eq!(name(&files), "spiffe://example.org/us");
    assert_eq!((files.reloads(), files.failures()), (0, 2));

    // The other half.
    fs::write(directory.path("tls.key"), &renewed.key_pem).unwrap();
    assert_eq!(files.reload_if_changed(now()), Ok(true));
    assert_eq!(name(&files), "spiffe://example.org/renewed");
    assert_eq!((files.reloads(), files.failures(), files.last_error()), (1, 2, None));

    // Broken, then as it was.
    let renewed = fs::read(directory.path("tls.crt")).unwrap();
    fs::write(directory.path("tls.crt"), &good[..good.len() / 2]).unwrap();
    assert!(files.reload_if_changed(now()).is_err());
    fs::write(directory.path("tls.crt"), renewed).unwrap();
    assert_eq!(files.reload_if_changed(now()), Ok(false));
    assert_eq!(files.last_error(), None);

    fs::remove_file(directory.path("tls.key")).unwrap();
    assert!(files.reload_if_changed(now()).is_err());
    assert_eq!((files.reloads(), files.failures()), (1, 4));
    assert_eq!(name(&files), "spiffe://example.org/renewed");
}

/// Peers refuse a client whose certificate is for servers only. Better said at the start.
#[test]
fn a_certificate_for_one_role_is_warned_of() {
    for (usage, other) in [
        (ExtendedKeyUsagePurpose::ServerAuth, Some("role=\"client\"")),
        (ExtendedKeyUsagePurpose::ClientAuth, Some("role=\"server\"")),
        (ExtendedKeyUsagePurpose::Any, None),
    ] {
        let directory = Directory::new();
        let mut params = leaf_params("spiffe://example.org/us");
        params.extended_key_usages = vec![usage];
        if other.is_none() {
            params.extended_key_usages.clear();
        }
        directory.write(directory.dir.path(), &directory.home.issue(&params));
        let log = logged(|| drop(directory.load()));
        let warning = log.lines().find(|line| line.contains("extendedKeyUsage"));
        assert_eq!(warning.is_some(), other.is_some(), "{log}");
        if let Some(other) = other {
            assert!(warning.unwrap().contains(other), "{log}");
        }
    }
}

/// The thread reads the real clock, so these certificates are valid for a century on both sides of the test's time.
#[test]
fn the_watching_thread_takes_changes_over() {
    const CENTURY: u64 = 100 * 365 * 24 * HOUR;
    let mut authority = authority_params("home");
    (authority.not_before, authority.not_after) = (date(0), date(NOW + CENTURY));
    let directory =
        Directory { dir: tempfile::tempdir().unwrap(), home: Authority::root_with(authority) };
    let write = |id: &str| {
        let mut params = leaf_params(id);
        (params.not_before, params.not_after) = (date(0), date(NOW + CENTURY));
        directory.write(directory.dir.path(), &directory.home.issue(&params));
    };
    write("spiffe://example.org/first");
    let files = directory.load();
    files.watch_every(Duration::from_millis(1)).unwrap();
    files.watch_every(Duration::from_millis(1)).unwrap();
    write("spiffe://example.org/second");
    while name(&files) != "spiffe://example.org/second" {
        // A look or two may fall between the two writes.
        assert!(files.failures() < 1_000, "{:?}", files.last_error());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(files.reloads(), 1);
}
