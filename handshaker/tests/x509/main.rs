//! Chains with faults, judged by this package, by rustls-webpki and by `openssl verify`, which checks purposes and revocation, too.
//!
//! Each chain is made from a number: a root or two, up to three intermediates, a leaf, other certificates beside the path, name
//! constraints, revocation lists, and faults in any of them, down to damaged DER that is signed all the same. Where the verdicts
//! differ, `differences.rs` has to know why. In particular nothing may be accepted here that openssl refuses, save for the few
//! reasons that are given there.
//!
//! ```text
//! cargo test -p alts-handshaker --test x509                  the first 250 chains; without openssl, against rustls-webpki only
//! handshaker/tests/x509/run 20000                                       so many, with openssl
//! handshaker/tests/x509/run 1 4711                                      number 4711, and what is wrong with it
//! ```

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod certificate;
mod chains;
mod der;
mod differences;
mod judges;
mod rng;

use std::collections::BTreeMap;
use std::env;

use chains::Chain;
use judges::{Us, openssl, openssl_version, webpki};

/// Chains beyond the first ones whose difference once had no reason.
const KEPT: [u64; 5] = [4200, 5170, 5446, 6207, 6637];

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn three_judges_agree_or_differ_for_known_reasons() {
    let (count, first) = (number("X509_CHAINS", 250), number("X509_FIRST", 0));
    let version = openssl_version();
    match &version {
        Some(version) => println!("{count} chains from {first} on, with {version}"),
        None if env::var_os("X509_OPENSSL").is_some() => panic!("there is no openssl 3"),
        None => println!("SKIPPED: there is no openssl 3; rustls-webpki alone judges"),
    }
    let us = Us::new();
    let folder = tempfile::tempdir().unwrap();
    let (mut verdicts, mut differences) = (BTreeMap::<_, u64>::new(), BTreeMap::<_, u64>::new());
    let mut unexplained = Vec::new();
    let kept = KEPT.into_iter().filter(|_| count > 1);
    for seed in (first..first + count).chain(kept) {
        let chain = Chain::from_seed(seed);
        let ours = us.judge(&chain);
        *verdicts.entry(ours.is_ok()).or_default() += 1;
        let mut compare = |name, theirs: Result<(), String>, reason: Option<&'static str>| {
            if ours.is_ok() == theirs.is_ok() {
                return;
            }
            match reason {
                Some(reason) => *differences.entry((name, reason)).or_default() += 1,
                None => unexplained.push(format!("chain {seed}: {ours:?}, {name}: {theirs:?}")),
            }
        };
        // What lists there are, rustls-webpki takes in another way.
        if chain.lists.is_empty() {
            let theirs = webpki(&chain).map_err(|fault| format!("{fault:?}"));
            let reason = differences::from_webpki(&chain, &ours, &theirs);
            compare("rustls-webpki", theirs, reason);
        }
        if version.is_some() {
            let theirs = openssl(&chain, folder.path());
            let reason = differences::from_openssl(&chain, &ours, &theirs, folder.path());
            compare("openssl", theirs, reason);
        }
        if count == 1 {
            println!("{ours:?}");
            if let Some(kept) = env::var_os("X509_KEEP") {
                let theirs = openssl(&chain, kept.as_ref());
                println!("{theirs:?}, in {}", kept.display());
            }
        }
    }
    println!("accepted {:?}, refused {:?}", verdicts.get(&true), verdicts.get(&false));
    for ((name, reason), count) in differences {
        println!("{count:>6}  {name}: {reason}");
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    let each = count / 10;
    let enough = |verdict| verdicts.get(&verdict).copied().unwrap_or(0) >= each;
    assert!(enough(true) && enough(false), "chains of both kinds: {verdicts:?}");
}
