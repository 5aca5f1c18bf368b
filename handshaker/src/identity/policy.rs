//! Who may be the peer.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::spiffe::{SpiffeId, SpiffeIdError, TrustDomain, check_path, split};

/// Which peers a [`Policy`] rule is about.
///
/// As text: `spiffe://example.org/ns/shop/sa/cart` is that identity; `spiffe://example.org/ns/shop/*` every identity with one
/// or more whole segments in place of the star; `spiffe://example.org` or `spiffe://example.org/*` the whole trust domain.
/// A star is allowed nowhere else, and nothing is normalized before comparing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule(Pattern);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Pattern {
    Id(SpiffeId),
    /// The path prefix ends with a slash; `/` alone is the whole trust domain.
    Under {
        domain: TrustDomain,
        prefix: Box<str>,
    },
}

impl Rule {
    /// Whether the rule is about `peer`.
    pub fn covers(&self, peer: &SpiffeId) -> bool {
        match &self.0 {
            Pattern::Id(id) => id == peer,
            Pattern::Under { domain, prefix } => {
                // No path ends with a slash, so at least one segment follows the prefix.
                peer.trust_domain_name() == domain.as_str() && peer.path().starts_with(&**prefix)
            }
        }
    }
}

impl From<SpiffeId> for Rule {
    fn from(id: SpiffeId) -> Self {
        Self(Pattern::Id(id))
    }
}

impl From<TrustDomain> for Rule {
    fn from(domain: TrustDomain) -> Self {
        Self(Pattern::Under { domain, prefix: "/".into() })
    }
}

impl FromStr for Rule {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        let (domain, path) = split(text)?;
        let prefix = match path {
            None | Some("*") => "/".to_owned(),
            Some(path) => match path.strip_suffix("/*") {
                None => return text.parse().map(|id| Self(Pattern::Id(id))),
                Some(segments) => {
                    check_path(segments)?;
                    format!("/{segments}/")
                }
            },
        };
        Ok(Self(Pattern::Under { domain: domain.parse()?, prefix: prefix.into() }))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Id(id) => id.fmt(f),
            Pattern::Under { domain, prefix } => write!(f, "spiffe://{domain}{prefix}*"),
        }
    }
}

/// Decides which verified peers are accepted. A peer that no rule allows is not, and a rule that denies wins over all that allow.
///
/// ```
/// use alts_handshaker::identity::{Policy, Rule, SpiffeId, TrustDomain};
///
/// let own: TrustDomain = "example.org".parse()?;
/// let policy = Policy::own_trust_domain()
///     .allow("spiffe://partner.example/billing".parse::<Rule>()?)
///     .deny("spiffe://example.org/test/*".parse::<Rule>()?);
///
/// assert!(policy.allows(&"spiffe://example.org/cart".parse::<SpiffeId>()?, &own).is_ok());
/// assert!(policy.allows(&"spiffe://partner.example/billing".parse::<SpiffeId>()?, &own).is_ok());
/// assert!(policy.allows(&"spiffe://partner.example/cart".parse::<SpiffeId>()?, &own).is_err());
/// let denial = policy.allows(&"spiffe://example.org/test/cart".parse::<SpiffeId>()?, &own).unwrap_err();
/// assert_eq!(denial.reason(), "denied by the rule spiffe://example.org/test/*");
/// # Ok::<(), alts_handshaker::identity::SpiffeIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    own_trust_domain: bool,
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

impl Policy {
    /// Allows every identity of the trust domain that this side's identity belongs to, and none of others.
    pub fn own_trust_domain() -> Self {
        Self { own_trust_domain: true, ..Self::nobody() }
    }

    /// Allows nobody: add rules to it.
    pub fn nobody() -> Self {
        Self { own_trust_domain: false, allow: Vec::new(), deny: Vec::new() }
    }

    /// Allows what the rules say, and nothing else; see [`Rule`] for their form.
    pub fn from_rules(
        rules: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, SpiffeIdError> {
        let allow =
            rules.into_iter().map(|rule| rule.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Self { allow, ..Self::nobody() })
    }

    /// Also allows an identity ([`SpiffeId`]), a trust domain ([`TrustDomain`]), or what a [`Rule`] says.
    #[must_use]
    pub fn allow(mut self, rule: impl Into<Rule>) -> Self {
        self.allow.push(rule.into());
        self
    }

    /// Denies, whatever else allows it.
    #[must_use]
    pub fn deny(mut self, rule: impl Into<Rule>) -> Self {
        self.deny.push(rule.into());
        self
    }

    /// Whether `peer` may be the peer of a workload in the trust domain `own`; `None` for a workload whose name is in no trust
    /// domain, to which [`own_trust_domain`](Self::own_trust_domain) allows nobody.
    pub fn allows<'own>(
        &self,
        peer: &SpiffeId,
        own: impl Into<Option<&'own TrustDomain>>,
    ) -> Result<(), Denial> {
        if let Some(rule) = self.deny.iter().find(|rule| rule.covers(peer)) {
            return Err(Denial { reason: format!("denied by the rule {rule}").into() });
        }
        let own = own.into().filter(|_| self.own_trust_domain);
        if own.is_some_and(|own| peer.trust_domain_name() == own.as_str())
            || self.allow.iter().any(|rule| rule.covers(peer))
        {
            return Ok(());
        }
        Err(Denial { reason: "no rule allows it".into() })
    }
}

/// Why a [`Policy`] refused a peer. For this side's log; the peer is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    reason: Cow<'static, str>,
}

impl Denial {
    /// The rule that denies, or the absence of one that allows.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// As [`reason`](Self::reason), to keep.
    pub fn into_reason(self) -> Cow<'static, str> {
        self.reason
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Denial {}
