//! The development authority, and its command line.
#![cfg(feature = "dev-ca")]
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alts_handshaker::Role;
use alts_handshaker::dev_ca::{DevCa, DevCaError, KeyType};
use alts_handshaker::identity::{
    CertificateError, ChainVerifier, Identity, IdentityError, IdentityFiles, IdentitySource,
    SignatureScheme, SpiffeIdError, TrustBundles,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// 2026-03-01, midnight.
const NOW: u64 = 1_772_323_200;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn chain(identity: &Identity) -> Vec<&[u8]> {
    identity.chain().iter().map(AsRef::as_ref).collect()
}

#[test]
fn issued_identities_trust_each_other() {
    let ca = DevCa::new(now()).unwrap();
    let client = ca.issue("spiffe://dev.local/client", now()).unwrap().identity(now()).unwrap();
    let server = ca
        .issue_with_key_type("spiffe://dev.local/server", KeyType::P256, now())
        .unwrap()
        .identity(now())
        .unwrap();
    assert_eq!(client.signer().schemes(), [SignatureScheme::ED25519]);
    assert_eq!(server.signer().schemes(), [SignatureScheme::ECDSA_P256_SHA256]);
    let verifier = ChainVerifier::new();
    let peer = verifier.verify(&client, &chain(&server), Role::Server, now()).unwrap();
    assert_eq!(peer.id().as_str(), "spiffe://dev.local/server");
    let peer = verifier.verify(&server, &chain(&client), Role::Client, now()).unwrap();
    assert_eq!(peer.id().as_str(), "spiffe://dev.local/client");
}

#[test]
fn a_leaf_lives_for_a_day_and_the_authority_for_a_year() {
    let ca = DevCa::new(now()).unwrap();
    let identity = ca.issue("spiffe://dev.local/a", now()).unwrap().identity(now()).unwrap();
    assert_eq!(identity.not_after(), now() + DAY);
    assert_eq!(identity.not_before(), now() - Duration::from_secs(5 * 60));

    let year = 365 * DAY;
    let late = now() + year - Duration::from_secs(60);
    let identity = ca.issue("spiffe://dev.local/a", late).unwrap().identity(late).unwrap();
    assert_eq!(identity.not_after(), now() + year);
    let too_late = now() + year + Duration::from_secs(1);
    assert_eq!(ca.issue("spiffe://dev.local/a", too_late), Err(DevCaError::Expired));
}

#[test]
fn names_are_checked() {
    let ca = DevCa::new(now()).unwrap();
    let issue = |id: &str| ca.issue(id, now()).map(drop).unwrap_err();
    assert_eq!(issue("server"), DevCaError::Name(SpiffeIdError::Scheme));
    assert_eq!(issue("spiffe://dev.local"), DevCaError::Name(SpiffeIdError::NoPath));
    assert!(matches!(issue("spiffe://example.org/a"), DevCaError::OtherTrustDomain { .. }));
}

#[test]
fn other_authorities_of_the_same_name_are_not_trusted() {
    let (ours, theirs) = (DevCa::new(now()).unwrap(), DevCa::new(now()).unwrap());
    let us = ours.issue("spiffe://dev.local/us", now()).unwrap().identity(now()).unwrap();
    let them = theirs.issue("spiffe://dev.local/them", now()).unwrap().identity(now()).unwrap();
    let verified = ChainVerifier::new().verify(&us, &chain(&them), Role::Client, now()).map(drop);
    assert_eq!(verified, Err(CertificateError::Untrusted));
}

#[test]
fn another_trust_domain_needs_no_permission() {
    let ca = DevCa::for_trust_domain("test.example".parse().unwrap(), now()).unwrap();
    let issued = ca.issue("spiffe://test.example/a", now()).unwrap();
    let mut trust = TrustBundles::new();
    trust.insert_pem(ca.trust_domain(), ca.bundle_pem().as_bytes()).unwrap();
    let (chain, key) = (issued.chain_pem().as_bytes(), issued.key_pem().as_bytes());
    assert!(Identity::from_pem(chain, key, trust, now()).is_ok());
}

#[test]
fn a_saved_authority_issues_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let ca = DevCa::new(now()).unwrap();
    ca.save(dir.path()).unwrap();
    let loaded = DevCa::load(dir.path()).unwrap();
    assert_eq!(loaded.bundle_pem(), ca.bundle_pem());
    assert_eq!(loaded.trust_domain(), ca.trust_domain());
    let us = ca.issue("spiffe://dev.local/us", now()).unwrap().identity(now()).unwrap();
    let them = loaded.issue("spiffe://dev.local/them", now()).unwrap().identity(now()).unwrap();
    assert!(ChainVerifier::new().verify(&us, &chain(&them), Role::Client, now()).is_ok());
}

#[test]
fn an_authority_is_not_replaced_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    DevCa::new(now()).unwrap().save(dir.path()).unwrap();
    let before = fs::read(dir.path().join("ca.pem")).unwrap();
    let other = DevCa::new(now()).unwrap();
    assert_eq!(other.save(dir.path()), Err(DevCaError::Exists(dir.path().join("ca.pem"))));
    assert_eq!(fs::read(dir.path().join("ca.pem")).unwrap(), before);
    // The key alone is worth keeping as well.
    fs::remove_file(dir.path().join("ca.pem")).unwrap();
    assert_eq!(other.save(dir.path()), Err(DevCaError::Exists(dir.path().join("ca-key.pem"))));
    other.replace(dir.path()).unwrap();
    assert_eq!(DevCa::load(dir.path()).unwrap().bundle_pem(), other.bundle_pem());
}

#[test]
fn files_of_others_are_not_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let fault = || DevCa::load(dir.path()).map(drop).unwrap_err();
    assert!(matches!(fault(), DevCaError::File { .. }));

    let ca = DevCa::new(now()).unwrap();
    ca.save(dir.path()).unwrap();
    let other = tempfile::tempdir().unwrap();
    DevCa::new(now()).unwrap().save(other.path()).unwrap();
    fs::copy(other.path().join("ca-key.pem"), path("ca-key.pem")).unwrap();
    assert!(
        matches!(fault(), DevCaError::NotOurs { path: wrong, .. } if wrong == path("ca-key.pem"))
    );

    ca.replace(dir.path()).unwrap();
    let leaf = ca.issue("spiffe://dev.local/a", now()).unwrap();
    fs::write(path("ca.pem"), leaf.chain_pem()).unwrap();
    assert!(matches!(fault(), DevCaError::NotOurs { path: wrong, .. } if wrong == path("ca.pem")));
    fs::write(path("ca.pem"), "nothing").unwrap();
    assert!(matches!(fault(), DevCaError::NotOurs { .. }));
}

#[test]
fn nothing_prints_a_key() {
    let ca = DevCa::new(now()).unwrap();
    let issued = ca.issue("spiffe://dev.local/a", now()).unwrap();
    assert_eq!(format!("{ca:?}"), "DevCa { domain: dev.local, .. }");
    assert_eq!(format!("{issued:?}"), "DevIdentity { domain: dev.local, .. }");
}

#[test]
fn saved_identities_are_loaded_and_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let ca = DevCa::new(now()).unwrap();
    ca.issue("spiffe://dev.local/a", now()).unwrap().save(dir.path()).unwrap();
    let path = |name: &str| dir.path().join(name);
    let builder = || {
        IdentityFiles::builder(path("chain.pem"), path("key.pem"))
            .bundle("dev.local".parse().unwrap(), path("bundle.pem"))
    };
    assert!(matches!(
        builder().load(now()).unwrap_err().fault(),
        IdentityError::DevelopmentDomain(_)
    ));
    let files = builder().allow_development_domain().load(now()).unwrap();
    let later = now() + DAY / 2;
    ca.issue("spiffe://dev.local/a", later).unwrap().save(dir.path()).unwrap();
    assert_eq!(files.reload_if_changed(later), Ok(true));
    assert_eq!(files.snapshot().unwrap().not_after(), later + DAY);
}

#[cfg(unix)]
#[test]
fn key_files_are_their_owners_only() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let mode =
        |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    let ca = DevCa::new(now()).unwrap();
    // A file that is in the way, and open to all, makes no difference.
    for name in ["ca-key.pem", "key.pem", "key.pem.new"] {
        fs::write(dir.path().join(name), "").unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    ca.replace(dir.path()).unwrap();
    ca.issue("spiffe://dev.local/a", now()).unwrap().save(dir.path()).unwrap();
    assert_eq!(mode("ca-key.pem"), 0o600);
    assert_eq!(mode("key.pem"), 0o600);
    assert!(!dir.path().join("key.pem.new").exists());
}

#[cfg(feature = "cli")]
mod command_line {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// Whether it succeeded, and all that it said.
    fn run(dir: &Path, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_alts-handshaker"))
            .args(arguments)
            .current_dir(dir)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    #[test]
    fn init_and_issue_make_a_usable_identity() {
        let dir = tempfile::tempdir().unwrap();
        let done = |arguments: &[&str]| {
            let (good, said) = run(dir.path(), arguments);
            assert!(good, "{said}");
        };
        done(&["dev-ca", "init"]);
        done(&["dev-ca", "issue", "spiffe://dev.local/ns/server"]);
        done(&["dev-ca", "issue", "spiffe://dev.local/b", "--out", "b", "--key-type", "p256"]);
        for (at, id) in
            [("dev-ca/ns/server", "spiffe://dev.local/ns/server"), ("b", "spiffe://dev.local/b")]
        {
            let at = dir.path().join(at);
            let files = IdentityFiles::builder(at.join("chain.pem"), at.join("key.pem"))
                .bundle("dev.local".parse().unwrap(), at.join("bundle.pem"))
                .allow_development_domain()
                .load(SystemTime::now())
                .unwrap();
            assert_eq!(files.snapshot().unwrap().id().as_str(), id);
        }
    }

    #[test]
    fn faults_say_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let fails = |arguments: &[&str], part: &str| {
            let (good, said) = run(dir.path(), arguments);
            assert!(!good && said.contains(part), "{arguments:?}: {said}");
        };
        fails(&["dev-ca", "issue", "spiffe://dev.local/a"], "dev-ca init");
        assert!(run(dir.path(), &["dev-ca", "init", "--dir", "ca"]).0);
        fails(&["dev-ca", "init", "--dir", "ca"], "--force");
        assert!(run(dir.path(), &["dev-ca", "init", "--dir", "ca", "--force"]).0);
        fails(&["dev-ca", "issue", "--dir", "ca", "spiffe://example.org/a"], "example.org");
        fails(&["dev-ca", "issue", "--dir", "ca", "server"], "spiffe://");
        fails(&["dev-ca", "init", "--trust-domain", "Dev.Local"], "[a-z0-9._-]");
    }
}
