//! Certificates that an authority signs whatever the fuzzer put into them, so that the walk to the name is reached, and the name
//! compared with what a second parser finds. What is accepted has exactly one URI, and that is a SPIFFE ID; and what the fuzzer
//! only chose, and did not damage, is judged as the rules say.

mod der;
mod leaf;

use std::sync::{Arc, LazyLock};

use alts::handshaker::Role;
use alts::handshaker::identity::{CertificateError, ChainVerifier, Identity};
use x509_cert::der::asn1::{Any, BitString, ObjectIdentifier};
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode, Encode, EncodePem, Tag, TagNumber, Tagged};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};

use crate::FEW;
use crate::choices::Choices;
use crate::edits::edit;
use crate::identities::{now, party, trust};

use self::der::Node;
use self::leaf::{Authority, Plan};

/// Signs anything.
static ROOT: LazyLock<Authority> = LazyLock::new(Authority::root);

/// Somebody who believes it.
static BELIEVER: LazyLock<Arc<Identity>> = LazyLock::new(|| {
    let mut bundles = trust();
    let root = x509_cert::Certificate::from_der(&ROOT.certificate).unwrap();
    let pem = root.to_pem(LineEnding::LF).unwrap();
    bundles.insert_pem(&"fuzz.example".parse().unwrap(), pem.as_bytes()).unwrap();
    let party = party("client");
    let signer = Arc::new(Borrowed(Arc::clone(&party.identity)));
    Identity::new(party.identity.chain().to_vec(), signer, bundles, now()).unwrap()
});

/// Another identity's key.
#[derive(Debug)]
struct Borrowed(Arc<Identity>);

impl alts::handshaker::identity::Signer for Borrowed {
    fn schemes(&self) -> &[alts::handshaker::identity::SignatureScheme] {
        self.0.signer().schemes()
    }

    fn sign(
        &self,
        scheme: alts::handshaker::identity::SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, alts::handshaker::identity::IdentityError> {
        self.0.signer().sign(scheme, message)
    }
}

/// What the second parser finds in a certificate.
struct Opinion {
    uris: Vec<Vec<u8>>,
    is_authority: bool,
    /// The first byte of its bits. More of them mean nothing here; not all parsers take that many.
    usage: Option<u8>,
}

fn second_opinion(der: &[u8]) -> Option<Opinion> {
    let list = |bytes: &[u8]| Vec::<Any>::from_der(bytes).ok();
    let tbs = list(der)?.first()?.to_der().ok()?;
    let wrapped = Tag::ContextSpecific { constructed: true, number: TagNumber(3) };
    let fields = list(&tbs)?;
    let extensions = fields.iter().find(|field| field.tag() == wrapped)?;
    let extensions = list(extensions.value())?;
    let fields: Option<Vec<_>> =
        extensions.iter().map(|extension| list(&extension.to_der().ok()?)).collect();
    let fields = fields?;
    let only = |name: ObjectIdentifier| -> Option<Option<&[u8]>> {
        let named =
            |fields: &&Vec<Any>| fields.first().is_some_and(|id| id.value() == name.as_bytes());
        let mut found = fields.iter().filter(named);
        let first = found.next().and_then(|fields| fields.last()).map(Any::value);
        found.next().is_none().then_some(first)
    };
    let names = only(SubjectAltName::OID)?.map_or(Some(vec![]), list)?;
    let uri = Tag::ContextSpecific { constructed: false, number: TagNumber(6) };
    let uris = names.iter().filter(|name| name.tag() == uri).map(|uri| uri.value().to_vec());
    let constraints = only(BasicConstraints::OID)?.map(BasicConstraints::from_der);
    let usage = only(KeyUsage::OID)?.map(BitString::from_der);
    Some(Opinion {
        uris: uris.collect(),
        is_authority: constraints.transpose().ok()?.is_some_and(|constraints| constraints.ca),
        usage: usage.transpose().ok()?.map(|bits| bits.raw_bytes().first().copied().unwrap_or(0)),
    })
}

/// A SPIFFE ID of a workload, by its specification.
fn is_spiffe_id(uri: &[u8]) -> bool {
    let Some(rest) = uri.strip_prefix(b"spiffe://") else { return false };
    let mut parts = rest.split(|&byte| byte == b'/');
    let domain = parts.next().unwrap_or_default();
    let path: Vec<_> = parts.collect();
    let segment = |part: &&[u8]| {
        let plain = part.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte));
        !part.is_empty() && plain && **part != *b"." && **part != *b".."
    };
    let lower = !domain.iter().any(u8::is_ascii_uppercase);
    let lengths = uri.len() <= 2_048 && domain.len() <= 255;
    lengths
        && lower
        && segment(&domain_segment(domain))
        && !path.is_empty()
        && path.iter().all(segment)
}

/// Dots alone are no path segment, but a trust domain.
fn domain_segment(domain: &[u8]) -> &[u8] {
    if domain.iter().all(|&byte| byte == b'.') && !domain.is_empty() { b"dots" } else { domain }
}

fn judge(chain: &[&[u8]], role: Role) -> Result<String, CertificateError> {
    let verifier = ChainVerifier::with_cache(0, std::time::Duration::ZERO);
    let verified = verifier.verify(&BELIEVER, chain, role, now())?;
    Ok(verified.id().as_str().to_owned())
}

/// What is said of a leaf must be in it.
fn compare(leaf: &[u8], said: &Result<String, CertificateError>) {
    let opinion = second_opinion(leaf);
    match (said, opinion) {
        (Ok(id), Some(opinion)) => {
            assert!(opinion.uris.iter().eq([id.as_bytes()]), "{:?}", opinion.uris);
            assert!(is_spiffe_id(id.as_bytes()) && !opinion.is_authority);
            // digitalSignature, and neither keyCertSign nor cRLSign.
            assert_eq!(opinion.usage.map(|usage| usage & 0x86), Some(0x80));
        }
        (Ok(id), None) => panic!("nobody else reads {id} in {leaf:02x?}"),
        (Err(CertificateError::NoUri), Some(opinion)) => assert_eq!(opinion.uris.len(), 0),
        (Err(CertificateError::SeveralUris(count)), Some(opinion)) => {
            assert_eq!(opinion.uris.len(), *count);
        }
        (Err(CertificateError::SpiffeId(_)), Some(opinion)) => {
            assert!(opinion.uris.len() == 1 && !is_spiffe_id(&opinion.uris[0]));
        }
        (Err(CertificateError::AuthorityAsLeaf), Some(opinion)) => assert!(opinion.is_authority),
        _ => {}
    }
}

fn issued(choices: &mut Choices<'_>) {
    let role = choices.pick(&[Role::Client, Role::Server]);
    let plan = Plan::new(choices);
    let intermediate = choices.one_in(4).then(|| ROOT.intermediate(choices));
    let issuer = intermediate.as_ref().map_or(&*ROOT, |(authority, _)| authority);
    let mut tbs = plan.tree(issuer);
    let damage = choices.below(6).saturating_sub(2);
    for _ in 0..damage {
        tbs.mutate(choices);
    }
    let mut tbs = tbs.encode();
    let before = tbs.clone();
    if damage > 0 {
        edit(choices, &mut tbs);
    }
    let damaged = damage > 0 || tbs != before;
    let leaf = issuer.sign(&tbs);
    let mut chain = vec![&leaf[..]];
    chain.extend(intermediate.as_ref().map(|(authority, _)| &authority.certificate[..]));
    let said = judge(&chain, role);
    compare(&leaf, &said);
    if !damaged {
        let sound = intermediate.as_ref().is_none_or(|(_, sound)| *sound);
        assert_eq!(said.is_ok(), sound && plan.is_sound(role), "{said:?}");
    }
}

/// Chains that nobody signed.
fn forged(choices: &mut Choices<'_>) {
    let original = &party(choices.pick(&["deep", "client", "p256", "rsa"])).chain;
    let mut chain = original.clone();
    let at = choices.below(chain.len());
    match choices.below(4) {
        0 => edit(choices, &mut chain[at]),
        1 => {
            if let Some(mut tree) = Node::read(&chain[at]) {
                tree.mutate(choices);
                chain[at] = tree.encode();
            }
        }
        2 => chain.swap(0, at),
        _ => chain = (0..choices.below(7)).map(|_| choices.bytes(60).to_vec()).collect(),
    }
    let ders: Vec<_> = chain.iter().map(|der| &der[..]).collect();
    let said = judge(&ders, Role::Client);
    assert_eq!(said.is_ok(), chain == *original, "{said:?}");
    if let Some(leaf) = chain.first() {
        compare(leaf, &said);
    }
}

#[test]
fn certificates() {
    bolero::check!(name = "certificates").with_iterations(FEW).with_max_len(600).for_each(
        |input: &[u8]| {
            for mut choices in Choices::several(input) {
                match choices.below(4) {
                    3 => forged(&mut choices),
                    _ => issued(&mut choices),
                }
            }
        },
    );
}
