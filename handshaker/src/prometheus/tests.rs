//! What Prometheus is shown.

use std::time::Duration;

use prometheus_client::encoding::text;

use super::*;
use crate::dev_ca::DevCa;
use crate::identity::IdentityFiles;
use crate::role::Role;

fn shown(register: impl FnOnce(&mut Registry)) -> String {
    let mut registry = Registry::with_prefix("x");
    register(&mut registry);
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("a string has room");
    out
}

#[test]
fn handshakes_by_role_and_reason() {
    let counters = Arc::new(HandshakeCounters::new());
    let text = || shown(|registry| register_handshakes(registry, Arc::clone(&counters)));
    assert_eq!(text(), "# EOF\n", "nothing has happened");
    counters.finished(Some(Role::Server), Ok(()), Duration::from_millis(1));
    counters.finished(Some(Role::Server), Ok(()), Duration::from_secs(100));
    counters.finished(Some(Role::Client), Err("access_denied"), Duration::ZERO);
    counters.finished(None, Err("overloaded"), Duration::ZERO);
    let text = text();
    for line in [
        "# TYPE x_handshakes counter",
        "x_handshakes_total{role=\"server\"} 2",
        "x_handshake_failures_total{role=\"client\",reason=\"access_denied\"} 1",
        "x_handshake_failures_total{role=\"none\",reason=\"overloaded\"} 1",
        "x_handshake_seconds_sum{role=\"server\"} 100.001",
        "x_handshake_seconds_count{role=\"server\"} 2",
        "x_handshake_seconds_bucket{le=\"0.0005\",role=\"server\"} 0",
        "x_handshake_seconds_bucket{le=\"0.001\",role=\"server\"} 1",
        "x_handshake_seconds_bucket{le=\"+Inf\",role=\"server\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
}

#[test]
fn an_identity_its_files_and_their_faults() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let issued = DevCa::new(now).unwrap().issue("spiffe://dev.local/us", now).unwrap();
    issued.save(dir.path()).unwrap();
    let path = |name: &str| dir.path().join(name);
    let files = IdentityFiles::builder(path("chain.pem"), path("key.pem"))
        .bundle("dev.local".parse().unwrap(), path("bundle.pem"))
        .allow_development_domain()
        .load(now)
        .unwrap();
    let text = || shown(|registry| register_identity(registry, files.clone()));
    let expiry = files.snapshot().unwrap().not_after();
    let serial = files.snapshot().unwrap().serial();
    let [expiry, began] = [expiry, now].map(seconds);
    for line in [
        format!("x_identity_info{{serial=\"{serial}\"}} 1"),
        format!("x_identity_expiry_timestamp_seconds {expiry}"),
        "x_identity_reloads_total 0".to_owned(),
        "x_identity_reload_failures_total 0".to_owned(),
        "x_trust_domain_authorities{trust_domain=\"dev.local\"} 1".to_owned(),
        "x_trust_domain_usable{trust_domain=\"dev.local\"} 1".to_owned(),
        format!("x_trust_domain_updated_timestamp_seconds{{trust_domain=\"dev.local\"}} {began}"),
    ] {
        assert!(text().lines().any(|found| found == line), "{line} is not in {}", text());
    }

    // It is looked at later, and is the same; then broken.
    let later = now + Duration::from_secs(60);
    files.reload_if_changed(later).unwrap();
    assert!(
        text().contains(&format!(
            "updated_timestamp_seconds{{trust_domain=\"dev.local\"}} {began}\n"
        ))
    );
    std::fs::write(path("bundle.pem"), "").unwrap();
    files.reload_if_changed(later).unwrap_err();
    for line in [
        "x_trust_domain_usable{trust_domain=\"dev.local\"} 0".to_owned(),
        "x_trust_domain_authorities{trust_domain=\"dev.local\"} 0".to_owned(),
        "x_identity_reload_failures_total 1".to_owned(),
        format!(
            "x_trust_domain_updated_timestamp_seconds{{trust_domain=\"dev.local\"}} {}",
            seconds(later)
        ),
    ] {
        assert!(text().lines().any(|found| found == line), "{line} is not in {}", text());
    }

    // Several have the names of their certificates.
    let of_one = || ("one".to_owned(), Arc::new(files.clone()) as Arc<dyn IdentitySource>);
    let text = shown(|registry| register_identities(registry, [of_one()]));
    assert!(text.contains("x_identity_reload_failures_total{certificate=\"one\"} 1\n"), "{text}");
}
