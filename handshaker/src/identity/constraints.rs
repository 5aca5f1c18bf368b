//! Name constraints (RFC 5280, section 4.2.1.10): which names the certificates below an authority may have.
//!
//! URIs, DNS names and IP addresses are understood. A name of another form is refused where a constraint on that form exists,
//! as the RFC requires of implementations that cannot check it.

use std::net::Ipv4Addr;

use super::der::{Element, Reader, tag};
use super::error::CertificateError;

/// How many times a constraint may be looked at for one chain, whether it is of the name's form or not. Certificates of 8 KiB have
/// room for some thousand names and constraints each, and every pair would be looked at. This many take about as long as a few
/// signatures.
const MAX_COMPARISONS: u32 = 50_000;

/// The forms of `GeneralName` (RFC 5280, section 4.2.1.6), by the tags that they have there.
mod form {
    use super::tag;

    pub(super) const EMAIL: u8 = tag::context(1);
    pub(super) const DNS: u8 = tag::context(2);
    pub(super) const DIRECTORY: u8 = tag::context_constructed(4);
    pub(super) const URI: u8 = tag::context(6);
    pub(super) const IP: u8 = tag::context(7);

    /// With otherName, x400Address, ediPartyName and registeredID.
    pub(super) const ALL: [u8; 9] = [
        tag::context_constructed(0),
        EMAIL,
        DNS,
        tag::context_constructed(3),
        DIRECTORY,
        tag::context_constructed(5),
        URI,
        IP,
        tag::context(8),
    ];
}

/// The contents of the object identifier of emailAddress (PKCS #9), an attribute of distinguished names.
const EMAIL_ADDRESS: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x01];

/// The extension's value. Whether the subtrees can be read shows when they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameConstraints<'a> {
    permitted: &'a [u8],
    excluded: &'a [u8],
}

/// A name that an issuer does not allow, as a message.
type Violation = String;

impl<'a> NameConstraints<'a> {
    pub(super) fn load(value: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(value);
        let mut fields = outer.sequence()?;
        outer.end()?;
        let mut subtrees = |number| -> Option<&'a [u8]> {
            let tag = tag::context_constructed(number);
            if fields.next_is(tag) { fields.expect(tag) } else { Some(&[]) }
        };
        let (permitted, excluded) = (subtrees(0)?, subtrees(1)?);
        fields.end()?;
        Some(Self { permitted, excluded })
    }
}

/// Counts the comparisons of one chain.
#[derive(Debug)]
pub(super) struct Comparisons(u32);

impl Comparisons {
    pub(super) fn new() -> Self {
        Self(MAX_COMPARISONS)
    }

    fn spend(&mut self) -> Result<(), CertificateError> {
        self.0 = self.0.checked_sub(1).ok_or(CertificateError::Invalid(
            "name constraints and names that take more than 50,000 comparisons",
        ))?;
        Ok(())
    }
}

/// Checks the subject and the alternative names of a certificate that stands below an issuer with these constraints.
pub(super) fn check(
    constraints: NameConstraints<'_>,
    subject: &[u8],
    alternative_names: &[u8],
    comparisons: &mut Comparisons,
) -> Result<(), CertificateError> {
    // A subject is a name of the form directoryName, unless it is empty.
    if !subject.is_empty() {
        check_name(constraints, form::DIRECTORY, subject, comparisons)?;
        // An older place for email addresses, which constraints apply to as well.
        let mut windows = subject.windows(EMAIL_ADDRESS.len());
        if windows.any(|window| window == EMAIL_ADDRESS) {
            check_name(constraints, form::EMAIL, subject, comparisons)?;
        }
    }
    let mut names = Reader::new(alternative_names);
    while !names.is_empty() {
        let name = names.element().ok_or(UNREADABLE_NAME)?;
        check_name(constraints, name.tag, name.contents, comparisons)?;
    }
    Ok(())
}

const UNREADABLE_NAME: CertificateError =
    CertificateError::Invalid("subjectAltName has a name that cannot be read");
const UNREADABLE: CertificateError =
    CertificateError::Invalid("an issuer has name constraints that cannot be read");

fn check_name(
    constraints: NameConstraints<'_>,
    form: u8,
    name: &[u8],
    comparisons: &mut Comparisons,
) -> Result<(), CertificateError> {
    let (mut is_constrained, mut is_permitted) = (false, false);
    for base in bases(constraints.permitted) {
        comparisons.spend()?;
        let base = base?;
        if base.tag != form {
            continue;
        }
        is_constrained = true;
        let fits = is_within(form, name, base.contents, Subtrees::Permitted);
        is_permitted |= fits.map_err(CertificateError::NameConstraints)?;
    }
    if is_constrained && !is_permitted {
        let name = shown(form, name);
        return Err(CertificateError::NameConstraints(format!("{name} is not permitted")));
    }
    for base in bases(constraints.excluded) {
        comparisons.spend()?;
        let base = base?;
        if base.tag == form
            && is_within(form, name, base.contents, Subtrees::Excluded)
                .map_err(CertificateError::NameConstraints)?
        {
            let name = shown(form, name);
            return Err(CertificateError::NameConstraints(format!("{name} is excluded")));
        }
    }
    Ok(())
}

/// The constraints in a list of `GeneralSubtree`.
fn bases(subtrees: &[u8]) -> impl Iterator<Item = Result<Element<'_>, CertificateError>> {
    let mut list = Reader::new(subtrees);
    std::iter::from_fn(move || {
        if list.is_empty() {
            return None;
        }
        let subtree = list.sequence().and_then(|mut subtree| {
            let base = subtree.element()?;
            // `minimum` has its default, which DER leaves out, and there is no `maximum`.
            subtree.end()?;
            form::ALL.contains(&base.tag).then_some(base)
        });
        if subtree.is_none() {
            list = Reader::new(&[]);
        }
        Some(subtree.ok_or(UNREADABLE))
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subtrees {
    Permitted,
    Excluded,
}

fn is_within(form: u8, name: &[u8], base: &[u8], subtrees: Subtrees) -> Result<bool, Violation> {
    match form {
        form::URI => uri_is_within(name, base, subtrees),
        form::DNS => dns_is_within(name, base, subtrees),
        form::IP => ip_is_within(name, base),
        _ => Err(format!("constraints on {} are not supported", kind_of(form))),
    }
}

/// RFC 5280: the constraint applies to the host. One that begins with a period stands for all names below it, and not for the name
/// itself; any other for exactly one host. A URI without a host, or with an address as the host, is refused.
fn uri_is_within(uri: &[u8], base: &[u8], subtrees: Subtrees) -> Result<bool, Violation> {
    let host = host_of(uri).ok_or_else(|| {
        format!("{} has no host name, by which constraints go", shown(form::URI, uri))
    })?;
    Ok(match base {
        // Neither a host nor a domain. It may mean everything, or nothing.
        [] | [b'.'] => subtrees == Subtrees::Excluded,
        [b'.', ..] => host.len() > base.len() && ends_with(host, base),
        _ => host.eq_ignore_ascii_case(base),
    })
}

/// The host of a URI, if it is a name.
fn host_of(uri: &[u8]) -> Option<&[u8]> {
    let scheme = uri.iter().position(|&byte| byte == b':')?;
    let rest = uri[scheme..].strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let authority = &rest[..end];
    let user = authority.iter().rposition(|&byte| byte == b'@').map_or(0, |at| at + 1);
    let host = authority[user..].split(|&byte| byte == b':').next()?;
    let is_address =
        |host: &[u8]| std::str::from_utf8(host).is_ok_and(|host| host.parse::<Ipv4Addr>().is_ok());
    // IPv6 addresses stand in brackets.
    (!host.is_empty() && host[0] != b'[' && !is_address(host)).then_some(host)
}

/// RFC 5280: a name is within a constraint if it is that name with labels added in front. A period in front of the constraint,
/// which the RFC has not and many write, demands at least one label.
fn dns_is_within(name: &[u8], base: &[u8], subtrees: Subtrees) -> Result<bool, Violation> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(byte);
    if !name.iter().all(plain) || !base.iter().all(plain) {
        return Err(format!("{} cannot be compared with a constraint", shown(form::DNS, name)));
    }
    let below = |name: &[u8], base: &[u8]| {
        name.len() > base.len()
            && ends_with(name, base)
            && (base.first() == Some(&b'.') || name[name.len() - base.len() - 1] == b'.')
    };
    if base.is_empty() || name.eq_ignore_ascii_case(base) || below(name, base) {
        return Ok(true);
    }
    // A wildcard stands for names that an excluded domain may be among.
    let overlaps = match name.strip_prefix(b"*.") {
        Some(domain) if subtrees == Subtrees::Excluded => {
            let base = base.strip_prefix(b".").unwrap_or(base);
            below(base, domain) || domain.eq_ignore_ascii_case(base)
        }
        _ => false,
    };
    Ok(overlaps)
}

/// An address in a network: 4 bytes and 8, or 16 and 32.
fn ip_is_within(address: &[u8], network: &[u8]) -> Result<bool, Violation> {
    let (base, mask) = network.split_at(network.len() / 2);
    let bits = mask.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    // All ones, then all zeros.
    let is_prefix = bits.clone().is_sorted_by(|one, next| one >= next);
    if !matches!((address.len(), network.len()), (4 | 16, 8 | 32)) || !is_prefix {
        return Err(format!("{} cannot be compared with a constraint", shown(form::IP, address)));
    }
    let same = |((address, base), mask): ((&u8, &u8), &u8)| address & mask == base & mask;
    Ok(address.len() == base.len() && address.iter().zip(base).zip(mask).all(same))
}

fn ends_with(name: &[u8], end: &[u8]) -> bool {
    name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end)
}

/// A name for a message.
fn shown(form: u8, name: &[u8]) -> String {
    let kind = kind_of(form);
    match form {
        form::URI | form::DNS => format!("{kind} {}", name.escape_ascii()),
        form::IP => match *name {
            [a, b, c, d] => format!("{kind} {a}.{b}.{c}.{d}"),
            _ => format!("{kind} {name:02x?}"),
        },
        _ => kind.to_owned(),
    }
}

fn kind_of(form: u8) -> &'static str {
    match form {
        form::EMAIL => "the email address",
        form::DNS => "the DNS name",
        form::DIRECTORY => "the directory name",
        form::URI => "the URI",
        form::IP => "the IP address",
        _ => "a name of another form",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_uris() {
        for (uri, host) in [
            ("spiffe://example.org/a/b", Some("example.org")),
            ("spiffe://example.org", Some("example.org")),
            ("https://user:word@Host.example:443/?q#f", Some("Host.example")),
            ("x://a@b@c/d", Some("c")),
            ("spiffe://10.0.0.1/a", None),
            ("https://[::1]/", None),
            ("spiffe:///a", None),
            ("urn:example", None),
            ("/path", None),
            ("", None),
        ] {
            assert_eq!(host_of(uri.as_bytes()), host.map(str::as_bytes), "{uri}");
        }
    }

    #[test]
    fn uris_by_host_and_by_domain() {
        for (uri, base, within) in [
            ("spiffe://example.org/a", "example.org", true),
            ("spiffe://example.org/a", "EXAMPLE.org", true),
            ("spiffe://example.org/a", ".example.org", false),
            ("spiffe://a.example.org/a", ".example.org", true),
            ("spiffe://b.a.example.org/a", ".example.org", true),
            ("spiffe://a.example.org/a", "example.org", false),
            ("spiffe://notexample.org/a", ".example.org", false),
            ("spiffe://example.org.evil/a", ".example.org", false),
            ("spiffe://example.org/a", "spiffe://example.org", false),
        ] {
            for subtrees in [Subtrees::Permitted, Subtrees::Excluded] {
                let found = uri_is_within(uri.as_bytes(), base.as_bytes(), subtrees);
                assert_eq!(found, Ok(within), "{uri} {base}");
            }
        }
        for vague in ["", "."] {
            let judge = |subtrees| uri_is_within(b"spiffe://a/b", vague.as_bytes(), subtrees);
            assert_eq!(judge(Subtrees::Permitted), Ok(false));
            assert_eq!(judge(Subtrees::Excluded), Ok(true));
        }
        assert!(
            uri_is_within(b"spiffe://10.0.0.1/a", b"example.org", Subtrees::Permitted).is_err()
        );
        assert!(uri_is_within(b"urn:a", b"example.org", Subtrees::Excluded).is_err());
    }

    #[test]
    fn dns_names_by_labels() {
        for (name, base, permitted, excluded) in [
            ("example.org", "example.org", true, true),
            ("a.Example.org", "example.ORG", true, true),
            ("notexample.org", "example.org", false, false),
            ("example.org", ".example.org", false, false),
            ("a.example.org", ".example.org", true, true),
            ("anything", "", true, true),
            ("*.example.org", "example.org", true, true),
            ("*.example.org", "a.example.org", false, true),
            ("*.example.org", "other.org", false, false),
            ("*.a.example.org", "b.example.org", false, false),
        ] {
            let judge = |subtrees| dns_is_within(name.as_bytes(), base.as_bytes(), subtrees);
            assert_eq!(judge(Subtrees::Permitted), Ok(permitted), "{name} {base}");
            assert_eq!(judge(Subtrees::Excluded), Ok(excluded), "{name} {base}");
        }
        assert!(dns_is_within(b"a b", b"b", Subtrees::Excluded).is_err());
    }

    #[test]
    fn addresses_by_network() {
        let within = |address: &[u8], network: &[u8]| ip_is_within(address, network);
        assert_eq!(within(&[10, 1, 2, 3], &[10, 0, 0, 0, 255, 0, 0, 0]), Ok(true));
        assert_eq!(within(&[11, 1, 2, 3], &[10, 0, 0, 0, 255, 0, 0, 0]), Ok(false));
        assert_eq!(within(&[10, 1, 2, 3], &[10, 1, 2, 3, 255, 255, 255, 255]), Ok(true));
        assert_eq!(within(&[10, 1, 2, 3], &[0; 8]), Ok(true));
        assert_eq!(within(&[10, 1, 2, 3], &[0; 32]), Ok(false));
        assert_eq!(within(&[1; 16], &[0; 32]), Ok(true));
        for network in [&[10, 0, 0, 0, 255, 0, 255, 0][..], &[10, 0, 0, 0], &[]] {
            assert!(within(&[10, 1, 2, 3], network).is_err(), "{network:?}");
        }
        assert!(within(&[10], &[10, 0, 0, 0, 255, 0, 0, 0]).is_err());
    }

    #[test]
    fn subtrees_are_read_strictly() {
        let uri = [0x30, 3, 0x86, 1, b'a'];
        let all =
            |subtrees: &[u8]| bases(subtrees).collect::<Result<Vec<_>, _>>().map(|all| all.len());
        assert_eq!(all(&[]), Ok(0));
        assert_eq!(all(&[uri, uri].concat()), Ok(2));
        // `minimum`, and `maximum`; a URI in the constructed form, and no form of name at all.
        for bad in [
            &[0x30, 6, 0x86, 1, b'a', 0x80, 1, 0][..],
            &[0x30, 6, 0x86, 1, b'a', 0x81, 1, 9],
            &[0x30, 3, 0xA6, 1, b'a'],
            &[0x30, 3, 0x89, 1, b'a'],
            &[0x30, 0],
            &[1, 0],
        ] {
            assert!(all(bad).is_err(), "{bad:02x?}");
        }
        assert!(NameConstraints::load(&[0x30, 0]).is_some());
        assert!(NameConstraints::load(&[0x30, 2, 0xA1, 0]).is_some());
        for bad in
            [&[0x30, 4, 0xA1, 0, 0xA0, 0][..], &[0x30, 2, 0xA2, 0], &[0x31, 0], &[0x30, 0, 0]]
        {
            assert!(NameConstraints::load(bad).is_none(), "{bad:02x?}");
        }
    }
}
