//! Identity files and the validity of this side's certificate.
#![cfg(unix)]

use alts_handshaker::identity::{CertificateError, IdentityError};
use rcgen::SerialNumber;

use super::authority::{HOUR, NOW, at, date, leaf_params};
use super::files::{Directory, name};
use super::log::logged;

/// The certificate of this side is valid for an hour before the time of these tests, and for one after it.
#[test]
fn a_certificate_that_is_not_renewed_is_warned_of_once_in_each_part_of_its_life() {
    let directory = Directory::new();
    let mut files = None;
    let load = || files = Some(directory.builder().load(at(NOW - 60)).unwrap());
    assert!(!logged(load).contains("validity period"));
    let files = files.unwrap();
    for (seconds, said) in [
        (0, "WARN half of the certificate's validity period is over"),
        (HOUR * 3 / 5, "WARN 80 % of the certificate's validity period is over"),
        (HOUR + 1, "ERROR this side's certificate has expired"),
    ] {
        let look = || logged(|| drop(files.reload_if_changed(at(NOW + seconds))));
        assert!(look().starts_with(said), "{seconds}");
        assert_eq!(look(), "", "{seconds}");
    }
    // One that is new takes effect, and nothing is said about its life.
    let mut params = leaf_params("spiffe://example.org/renewed");
    params.serial_number = Some(SerialNumber::from(vec![0xAB, 1]));
    directory.write(directory.dir.path(), &directory.home.issue(&params));
    let log = logged(|| drop(files.reload_if_changed(at(NOW - 60))));
    let line = "INFO certificate and key reloaded id=spiffe://example.org/renewed serial=\"AB01\" \
                not_after=\"2026-03-01T01:00:00Z\"\n";
    assert_eq!(log, line);
}

#[test]
fn a_certificate_of_the_future_is_taken_over_when_its_time_comes() {
    let directory = Directory::new();
    let files = directory.load();
    let mut params = leaf_params("spiffe://example.org/next");
    params.not_before = date(NOW + 60);
    directory.write(directory.dir.path(), &directory.home.issue(&params));
    let fault = files.reload_if_changed(at(NOW + 59)).unwrap_err();
    assert_eq!(*fault.fault(), IdentityError::Chain(CertificateError::NotYetValid));
    assert_eq!(files.reload_if_changed(at(NOW + 60)), Ok(true));
}

#[test]
fn expired_files_do_not_replace_anything() {
    let directory = Directory::new();
    let files = directory.load();
    directory.renew("spiffe://example.org/renewed");
    let fault = files.reload_if_changed(at(NOW + HOUR + 1)).unwrap_err();
    assert_eq!(*fault.fault(), IdentityError::Chain(CertificateError::Expired));
    assert_eq!(name(&files), "spiffe://example.org/us");
}
