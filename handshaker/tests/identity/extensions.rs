//! What a leaf's extensions may say, and its key.

use alts_handshaker::Role;
use alts_handshaker::identity::{CertificateError, SpiffeIdError};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
};

use super::authority::{Authority, Setup, authority_params, leaf_params, now, uri};

fn params() -> CertificateParams {
    leaf_params("spiffe://example.org/peer")
}

/// A subjectAltName of these URIs, whatever their bytes.
fn raw_uris(uris: &[&[u8]]) -> CustomExtension {
    let mut names = Vec::new();
    for uri in uris {
        names.extend([0x86, uri.len() as u8]);
        names.extend(*uri);
    }
    let mut content = vec![0x30, names.len() as u8];
    content.extend(names);
    CustomExtension::from_oid_content(&[2, 5, 29, 17], content)
}

#[test]
fn a_leaf_has_exactly_one_uri() {
    let setup = Setup::new();
    let dns = SanType::DnsName(Ia5String::try_from("peer.example.org").unwrap());

    let mut several = params();
    several.subject_alt_names.push(uri("spiffe://example.org/other"));
    assert_eq!(setup.fault(&several), CertificateError::SeveralUris(2));

    let mut same_twice = params();
    same_twice.subject_alt_names.push(uri("spiffe://example.org/peer"));
    assert_eq!(setup.fault(&same_twice), CertificateError::SeveralUris(2));

    let mut foreign = params();
    foreign.subject_alt_names.push(uri("https://example.org/"));
    assert_eq!(setup.fault(&foreign), CertificateError::SeveralUris(2));

    let mut none = params();
    none.subject_alt_names = vec![dns.clone()];
    assert_eq!(setup.fault(&none), CertificateError::NoUri);
    none.subject_alt_names.clear();
    assert_eq!(setup.fault(&none), CertificateError::NoUri);

    let mut other_kinds = params();
    other_kinds.subject_alt_names.push(dns);
    other_kinds.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    assert!(setup.judge(&other_kinds).is_ok());
}

#[test]
fn a_malformed_uri_counts() {
    let setup = Setup::new();
    let with = |uris: &[&[u8]]| {
        let mut params = params();
        params.subject_alt_names.clear();
        params.custom_extensions = vec![raw_uris(uris)];
        params
    };
    let good = b"spiffe://example.org/peer";
    assert!(setup.judge(&with(&[good])).is_ok());
    // webpki passes over what is not UTF-8 or not a URI. With its list there would be one.
    for malformed in [&b"\xff\xfe"[..], b"", b"spiffe://example.org/\xc3"] {
        assert_eq!(setup.fault(&with(&[good, malformed])), CertificateError::SeveralUris(2));
        assert_eq!(setup.fault(&with(&[malformed, good])), CertificateError::SeveralUris(2));
    }
    let part = "URI in subjectAltName";
    assert_eq!(
        setup.fault(&with(&[b"\xff\xfe"])),
        CertificateError::Malformed { position: 0, part }
    );
    assert_eq!(
        setup.fault(&with(&[b"spiffe://example.org/a\0b"])),
        CertificateError::SpiffeId(SpiffeIdError::PathSegment)
    );
}

#[test]
fn the_uri_is_a_spiffe_id_with_a_path() {
    let setup = Setup::new();
    for (text, fault) in [
        ("https://example.org/peer", SpiffeIdError::Scheme),
        ("spiffe://example.org", SpiffeIdError::NoPath),
        ("spiffe://example.org/", SpiffeIdError::PathSegment),
        ("spiffe://user@example.org/peer", SpiffeIdError::TrustDomain),
        ("spiffe://example.org:443/peer", SpiffeIdError::TrustDomain),
        ("spiffe://example.org/peer?x=1", SpiffeIdError::PathSegment),
        ("spiffe://example.org/peer#x", SpiffeIdError::PathSegment),
        ("spiffe://EXAMPLE.org/peer", SpiffeIdError::TrustDomain),
        (&format!("spiffe://example.org/{}", "p".repeat(2_048)), SpiffeIdError::TooLong),
    ] {
        assert_eq!(setup.fault(&leaf_params(text)), CertificateError::SpiffeId(fault), "{text}");
    }
}

#[test]
fn an_extension_comes_once() {
    let setup = Setup::new();
    let mut twice = params();
    twice.custom_extensions = vec![raw_uris(&[b"spiffe://example.org/peer"])];
    let part = "extensions";
    assert_eq!(setup.fault(&twice), CertificateError::Malformed { position: 0, part });
}

#[test]
fn malformed_extensions_are_named() {
    let setup = Setup::new();
    for (oid, content, part) in [
        (17, &[0x30, 0x02, 0x86, 0x05][..], "subjectAltName"),
        (17, &[0x30, 0x00, 0x00], "subjectAltName"),
        (17, &[0x30, 0x02, 0xA6, 0x00], "subjectAltName"),
        (17, &[0x30, 0x02, 0x0C, 0x00], "subjectAltName"),
        (17, &[], "subjectAltName"),
        (15, &[0x03, 0x02, 0x07, 0x81], "keyUsage"),
        (15, &[0x04, 0x01, 0x00], "keyUsage"),
        (19, &[0x30, 0x03, 0x01, 0x01, 0x01], "basicConstraints"),
        (19, &[0x01, 0x01, 0xFF], "basicConstraints"),
    ] {
        let mut params = params();
        match oid {
            17 => params.subject_alt_names.clear(),
            15 => params.key_usages.clear(),
            _ => {}
        }
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[2, 5, 29, oid], content.to_vec())];
        assert_eq!(
            setup.fault(&params),
            CertificateError::Malformed { position: 0, part },
            "{content:02x?}"
        );
    }
}

#[test]
fn an_unknown_critical_extension_is_refused() {
    let setup = Setup::new();
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
    let mut params = params();
    params.custom_extensions = vec![extension.clone()];
    assert!(setup.judge(&params).is_ok());
    extension.set_criticality(true);
    params.custom_extensions = vec![extension];
    assert_eq!(setup.fault(&params).to_string(), "a critical extension that is not supported");
}

#[test]
fn an_authority_is_no_leaf() {
    let setup = Setup::new();
    let mut authority = params();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    assert_eq!(setup.fault(&authority), CertificateError::AuthorityAsLeaf);
    let mut plain = params();
    plain.is_ca = IsCa::ExplicitNoCa;
    assert!(setup.judge(&plain).is_ok());

    let middle = setup.home.intermediate_with(authority_params("middle"));
    assert_eq!(setup.verify(&[&middle.der]), Err(CertificateError::AuthorityAsLeaf));
    assert_eq!(setup.verify(&[&setup.home.der]), Err(CertificateError::AuthorityAsLeaf));
}

#[test]
fn the_key_usage_is_signing_handshakes_and_nothing_higher() {
    use KeyUsagePurpose::{
        ContentCommitment, CrlSign, DigitalSignature, KeyAgreement, KeyCertSign, KeyEncipherment,
    };

    let setup = Setup::new();
    let with = |usages: &[KeyUsagePurpose]| {
        let mut params = params();
        params.key_usages = usages.to_vec();
        setup.judge(&params).map(drop)
    };
    assert_eq!(with(&[DigitalSignature]), Ok(()));
    assert_eq!(with(&[DigitalSignature, KeyEncipherment, KeyAgreement]), Ok(()));
    assert_eq!(with(&[]), Err(CertificateError::NoDigitalSignature));
    assert_eq!(with(&[KeyEncipherment]), Err(CertificateError::NoDigitalSignature));
    assert_eq!(with(&[ContentCommitment]), Err(CertificateError::NoDigitalSignature));
    assert_eq!(with(&[DigitalSignature, KeyCertSign]), Err(CertificateError::LeafMaySign));
    assert_eq!(with(&[DigitalSignature, CrlSign]), Err(CertificateError::LeafMaySign));
}

#[test]
fn an_extended_key_usage_fits_the_role() {
    use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};

    let setup = Setup::new();
    let wrong = Err(CertificateError::WrongExtendedKeyUsage);
    for (usages, as_client, as_server) in [
        (vec![], Ok(()), Ok(())),
        (vec![ServerAuth, ClientAuth], Ok(()), Ok(())),
        (vec![CodeSigning, ClientAuth], Ok(()), wrong.clone()),
        (vec![ClientAuth], Ok(()), wrong.clone()),
        (vec![ServerAuth], wrong.clone(), Ok(())),
        (vec![CodeSigning], wrong.clone(), wrong.clone()),
        (vec![ExtendedKeyUsagePurpose::Any], wrong.clone(), wrong.clone()),
    ] {
        let mut params = params();
        params.extended_key_usages = usages.clone();
        let der = setup.home.issue(&params).der;
        let verify = |role| setup.verify_at(&[&der], role, now()).map(drop);
        assert_eq!(verify(Role::Client), as_client, "{usages:?}");
        assert_eq!(verify(Role::Server), as_server, "{usages:?}");
    }
}

#[test]
fn an_issuers_extended_key_usage_counts_too() {
    let setup = Setup::new();
    let mut params = authority_params("middle");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let middle = setup.home.intermediate_with(params);
    let leaf = middle.leaf("spiffe://example.org/peer");
    let chain = [&leaf.der[..], &middle.der];
    assert!(setup.verify_at(&chain, Role::Server, now()).is_ok());
    assert_eq!(
        setup.verify_at(&chain, Role::Client, now()),
        Err(CertificateError::WrongExtendedKeyUsage)
    );
}

/// An RSA public key of a given size that belongs to nobody.
struct RsaKey(Vec<u8>);

impl RsaKey {
    fn of_bits(bits: usize) -> Self {
        let mut modulus = vec![0xA5; bits.div_ceil(8)];
        modulus[0] = 0xFF >> (bits.div_ceil(8) * 8 - bits);
        let mut integer = if modulus[0] & 0x80 == 0 { vec![] } else { vec![0] };
        integer.extend(modulus);
        let long = |tag: u8, bytes: &[u8]| {
            let mut whole = vec![tag, 0x82];
            whole.extend((bytes.len() as u16).to_be_bytes());
            whole.extend(bytes);
            whole
        };
        let mut fields = long(0x02, &integer);
        fields.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
        Self(long(0x30, &fields))
    }
}

impl PublicKeyData for RsaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

#[test]
fn rsa_keys_have_2048_to_4096_bits() {
    let setup = Setup::new();
    for (bits, position, fault) in [
        (2_047, 0, Some(CertificateError::RsaKeyTooSmall { bits: 2_047 })),
        (2_048, 0, None),
        (4_096, 0, None),
        (4_097, 0, Some(CertificateError::RsaKeyTooLarge { position: 0, bits: 4_097 })),
        (8_192, 0, Some(CertificateError::RsaKeyTooLarge { position: 0, bits: 8_192 })),
        (8_192, 1, Some(CertificateError::RsaKeyTooLarge { position: 1, bits: 8_192 })),
    ] {
        let key = RsaKey::of_bits(bits);
        let verified = if position == 0 {
            setup.verify(&[&setup.home.certify(&params(), &key)])
        } else {
            let middle = setup.home.certify(&authority_params("middle"), &key);
            // It names that one as its issuer, which is as far as this gets.
            let leaf = Authority::root("middle").leaf("spiffe://example.org/peer");
            setup.verify(&[&leaf.der, &middle])
        };
        assert_eq!(verified.map(drop), fault.map_or(Ok(()), Err), "{bits}");
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let setup = Setup::new();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut der = setup.home.issue_for(&params(), &key).der;
    // Ed25519's identifier is 1.3.101.112. Ed448's ends in 113.
    let place = der.windows(3).position(|bytes| bytes == [0x2B, 0x65, 0x70]).unwrap();
    der[place + 2] = 0x71;
    assert_eq!(setup.verify(&[&der]), Err(CertificateError::UnsupportedKey { position: 0 }));
}
