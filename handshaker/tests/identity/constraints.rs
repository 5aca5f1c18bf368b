//! Name constraints of authorities (RFC 5280, section 4.2.1.10).

use alts_handshaker::Role;
use alts_handshaker::identity::{CertificateError, ChainVerifier};
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CidrSubnet, CustomExtension, DnType, GeneralSubtree, NameConstraints,
    SanType,
};

use super::authority::{Authority, Setup, authority_params, leaf_params, now, trust, us};

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
}

/// A constraint on URIs, which rcgen cannot write.
fn on_uris(permitted: &[&str], excluded: &[&str]) -> CustomExtension {
    let subtrees = |tag, hosts: &[&str]| {
        let subtrees: Vec<u8> =
            hosts.iter().flat_map(|host| tlv(0x30, &tlv(0x86, host.as_bytes()))).collect();
        if subtrees.is_empty() { vec![] } else { tlv(tag, &subtrees) }
    };
    let content = tlv(0x30, &[subtrees(0xA0, permitted), subtrees(0xA1, excluded)].concat());
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], content);
    extension.set_criticality(true);
    extension
}

fn constrained(extension: CustomExtension) -> CertificateParams {
    let mut params = authority_params("middle");
    params.custom_extensions = vec![extension];
    params
}

#[test]
fn uris_are_constrained_by_host() {
    let setup = Setup::new();
    for (permitted, excluded, allowed) in [
        (&["example.org"][..], &[][..], true),
        (&["EXAMPLE.ORG"], &[], true),
        (&["other.org", "example.org"], &[], true),
        (&["other.org"], &[], false),
        (&[".org"], &[], true),
        (&[".example.org"], &[], false),
        (&["spiffe://example.org"], &[], false),
        (&[], &["other.org"], true),
        (&[], &["example.org"], false),
        (&[], &[".org"], false),
        (&[], &[".example.org"], true),
        (&["example.org"], &["example.org"], false),
        (&[], &[""], false),
    ] {
        let middle = setup.home.intermediate_with(constrained(on_uris(permitted, excluded)));
        let leaf = middle.leaf("spiffe://example.org/peer");
        // Also through another intermediate, which has no URI itself.
        let lower = middle.intermediate("lower");
        let deep = lower.leaf("spiffe://example.org/peer");
        for chain in [vec![&leaf.der[..], &middle.der], vec![&deep.der, &lower.der, &middle.der]] {
            match setup.verify(&chain) {
                Ok(_) => assert!(allowed, "{permitted:?} {excluded:?}"),
                Err(CertificateError::NameConstraints(fault)) => {
                    assert!(!allowed, "{permitted:?} {excluded:?}");
                    assert!(fault.contains("the URI spiffe://example.org/peer is "), "{fault}");
                }
                Err(fault) => panic!("{fault}"),
            }
        }
    }
}

#[test]
fn the_constraints_of_an_authority_count() {
    for (host, allowed) in [("example.org", true), ("other.org", false)] {
        let mut params = authority_params("home");
        params.custom_extensions = vec![on_uris(&[host], &[])];
        let home = Authority::root_with(params);
        let free = Authority::root("free");
        let bundles = trust(&[("example.org", &free)]);
        let mut both = bundles.clone();
        both.insert_authority(&super::authority::domain("example.org"), &home.der).unwrap();
        let us = us(&free, both);
        let leaf = home.leaf("spiffe://example.org/peer");
        let verified = ChainVerifier::new().verify(&us, &[&leaf.der], Role::Client, now()).is_ok();
        assert_eq!(verified, allowed, "{host}");
    }
}

/// The other names of a leaf, which nobody uses here, are constrained as well.
#[test]
fn other_names_are_constrained_too() {
    let setup = Setup::new();
    let dns = |name: &str| SanType::DnsName(Ia5String::try_from(name).unwrap());
    let ip = |text: &str| SanType::IpAddress(text.parse().unwrap());
    let email = |text: &str| SanType::Rfc822Name(Ia5String::try_from(text).unwrap());
    let on_dns = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    let on_ip = |network: &str| GeneralSubtree::IpAddress(network.parse::<CidrSubnet>().unwrap());
    let on_email = |name: &str| GeneralSubtree::Rfc822Name(name.to_owned());
    for (name, subtree, within) in [
        (dns("a.example.org"), on_dns("example.org"), Some(true)),
        (dns("a.example.com"), on_dns("example.org"), Some(false)),
        (ip("10.1.2.3"), on_ip("10.0.0.0/8"), Some(true)),
        (ip("11.1.2.3"), on_ip("10.0.0.0/8"), Some(false)),
        (ip("11.1.2.3"), on_dns("example.org"), None),
        (dns("a.example.com"), on_ip("10.0.0.0/8"), None),
        (email("a@example.com"), on_dns("example.org"), None),
    ] {
        let judge = |permitted: Vec<_>, excluded: Vec<_>| {
            let mut params = authority_params("middle");
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: permitted,
                excluded_subtrees: excluded,
            });
            let middle = setup.home.intermediate_with(params);
            let mut leaf = leaf_params("spiffe://example.org/peer");
            leaf.subject_alt_names.push(name.clone());
            let leaf = middle.issue(&leaf);
            setup.verify(&[&leaf.der, &middle.der]).is_ok()
        };
        assert_eq!(judge(vec![subtree.clone()], vec![]), within.unwrap_or(true), "{name:?}");
        assert_eq!(judge(vec![], vec![subtree]), !within.unwrap_or(false), "{name:?}");
    }
    // What is not understood is refused where it would count.
    let judge = |subtree: GeneralSubtree, name: Option<SanType>, subject: bool| {
        let mut params = authority_params("middle");
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: vec![subtree], excluded_subtrees: vec![] });
        let middle = setup.home.intermediate_with(params);
        let mut leaf = leaf_params("spiffe://example.org/peer");
        leaf.subject_alt_names.extend(name);
        if subject {
            leaf.distinguished_name.push(DnType::CommonName, "peer");
        }
        let leaf = middle.issue(&leaf);
        setup.verify(&[&leaf.der, &middle.der]).map(drop)
    };
    let mut directory = rcgen::DistinguishedName::new();
    directory.push(DnType::CommonName, "peer");
    let directory = GeneralSubtree::DirectoryName(directory);
    assert_eq!(judge(directory.clone(), None, false), Ok(()));
    for fault in [
        judge(directory, None, true),
        judge(on_email("example.org"), Some(email("a@example.org")), false),
    ] {
        let fault = fault.unwrap_err().to_string();
        assert!(fault.contains("are not supported"), "{fault}");
    }
    assert_eq!(judge(on_email("example.org"), None, true), Ok(()));
}

/// RFC 5280, section 4.2.1.10: constraints on email addresses apply to those in the subject, too.
#[test]
fn an_email_address_in_the_subject_is_constrained() {
    let setup = Setup::new();
    for (subtree, allowed) in [
        (GeneralSubtree::Rfc822Name("example.org".to_owned()), false),
        (GeneralSubtree::DnsName("example.org".to_owned()), true),
    ] {
        let mut params = authority_params("middle");
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: vec![], excluded_subtrees: vec![subtree] });
        let middle = setup.home.intermediate_with(params);
        let mut leaf = leaf_params("spiffe://example.org/peer");
        let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        leaf.distinguished_name.push(email, "peer@example.com");
        let leaf = middle.issue(&leaf);
        assert_eq!(setup.verify(&[&leaf.der, &middle.der]).is_ok(), allowed);
    }
}

/// Of constraints that are of the name's form, and of those that are not.
#[test]
fn comparisons_are_counted() {
    for form in [0x82, 0x86] {
        count_comparisons(form);
    }
}

fn count_comparisons(form: u8) {
    let setup = Setup::new();
    let hosts: Vec<_> = (0..250).map(|place| format!("h{place}.org")).collect();
    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
    let subtrees: Vec<u8> =
        hosts.iter().flat_map(|host| tlv(0x30, &tlv(form, host.as_bytes()))).collect();
    let list = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], content].concat()
    };
    let mut extension =
        CustomExtension::from_oid_content(&[2, 5, 29, 30], list(0x30, &list(0xA1, &subtrees)));
    extension.set_criticality(true);
    let middle = setup.home.intermediate_with(constrained(extension));
    for (names, allowed) in [(150, true), (220, false)] {
        let mut leaf = leaf_params("spiffe://example.org/peer");
        for place in 0..names {
            let name = Ia5String::try_from(format!("n{place}.example")).unwrap();
            leaf.subject_alt_names.push(SanType::DnsName(name));
        }
        let leaf = middle.issue(&leaf);
        let verified = setup.verify(&[&leaf.der, &middle.der]);
        assert_eq!(verified.is_ok(), allowed);
        if let Err(fault) = verified {
            assert!(fault.to_string().contains("more than 50,000 comparisons"), "{fault}");
        }
    }
}

/// Without constraints on URIs, rustls-webpki judges paths too.
#[test]
fn rustls_webpki_agrees() {
    use pki_types::{CertificateDer, UnixTime};
    use std::time::Duration;

    let setup = Setup::new();
    let der = CertificateDer::from(setup.home.der.clone());
    let anchor = webpki::anchor_from_trusted_cert(&der).unwrap().to_owned();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(super::authority::NOW));
    let mut agreed = [0, 0];
    let depths = [rcgen::BasicConstraints::Unconstrained, rcgen::BasicConstraints::Constrained(0)];
    let constraints = [None, Some("example.org"), Some("a.example.org"), Some("other.org")];
    for upper_depth in depths {
        for lower_depth in depths {
            for constraint in constraints {
                for name in [None, Some("a.example.org"), Some("*.example.org"), Some("other.org")]
                {
                    let authority = |title: &str, depth, constraint: Option<&str>| {
                        let mut params = authority_params(title);
                        params.is_ca = rcgen::IsCa::Ca(depth);
                        params.name_constraints = constraint.map(|name| NameConstraints {
                            permitted_subtrees: vec![GeneralSubtree::DnsName(name.to_owned())],
                            excluded_subtrees: vec![],
                        });
                        params
                    };
                    let upper = setup.home.intermediate_with(authority("upper", upper_depth, None));
                    let lower =
                        upper.intermediate_with(authority("lower", lower_depth, constraint));
                    let mut leaf = leaf_params("spiffe://example.org/peer");
                    leaf.subject_alt_names.extend(
                        name.map(|name| SanType::DnsName(Ia5String::try_from(name).unwrap())),
                    );
                    let leaf = lower.issue(&leaf);
                    let ours = setup.verify(&[&leaf.der, &upper.der, &lower.der]);
                    let leaf = CertificateDer::from(leaf.der);
                    let others = [&lower.der, &upper.der].map(|der| CertificateDer::from(&der[..]));
                    let theirs = webpki::EndEntityCert::try_from(&leaf)
                        .unwrap()
                        .verify_for_usage(
                            &[webpki::ring::ECDSA_P256_SHA256],
                            std::slice::from_ref(&anchor),
                            &others,
                            time,
                            webpki::KeyUsage::client_auth(),
                            None,
                            None,
                        )
                        .map(drop);
                    assert_eq!(
                        ours.is_ok(),
                        theirs.is_ok(),
                        "{ours:?} {theirs:?} {constraint:?} {name:?}"
                    );
                    agreed[usize::from(ours.is_ok())] += 1;
                }
            }
        }
    }
    assert!(agreed[0] >= 8 && agreed[1] >= 8, "{agreed:?}");
}
