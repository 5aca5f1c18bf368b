//! Command line arguments that programs share: who this side is, whom it trusts, and who may be its peer. For `clap`.
//!
//! `alts`, `alts-handshaker` and the examples take these, so that a flag means the same everywhere.

mod dev_ca;
mod ticket_keys;
#[cfg(feature = "workload-api")]
mod workload_api;

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;

#[cfg(feature = "workload-api")]
use crate::identity::WorkloadApi;
use crate::identity::{
    Identity, IdentityError, IdentityFiles, IdentityFilesBuilder, IdentitySource, IdentityStats,
    Policy, Rule, TrustDomain,
};

pub use dev_ca::DevCaCommand;
pub use ticket_keys::TicketKeysCommand;

/// One identity, and the authorities it trusts: in files, or from the SPIFFE Workload API (feature `workload-api`).
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Identity")]
pub struct IdentityArguments {
    /// This side's certificate chain (PEM, leaf first).
    #[arg(long, value_name = "FILE")]
    #[cfg_attr(feature = "workload-api", arg(required_unless_present = "workload_api"))]
    #[cfg_attr(not(feature = "workload-api"), arg(required = true))]
    pub cert: Option<PathBuf>,
    /// The private key of the leaf (PEM). Only its owner may have access to the file.
    #[arg(long, value_name = "FILE")]
    #[cfg_attr(feature = "workload-api", arg(required_unless_present = "workload_api"))]
    #[cfg_attr(not(feature = "workload-api"), arg(required = true))]
    pub key: Option<PathBuf>,
    /// Trust settings.
    #[command(flatten)]
    pub trust: TrustArguments,
}

/// The authorities that a program trusts.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Identity")]
pub struct TrustArguments {
    /// Authorities (PEM) that are trusted to vouch for a trust domain. This side's own trust domain needs one. Can be repeated.
    #[arg(long, value_name = "DOMAIN=FILE")]
    #[cfg_attr(feature = "workload-api", arg(required_unless_present = "workload_api"))]
    #[cfg_attr(not(feature = "workload-api"), arg(required = true))]
    pub bundle: Vec<KeyedPath<TrustDomain>>,
    /// Revocation lists (PEM) of a trust domain's authorities. With one, a current list has to cover every certificate.
    #[arg(long, value_name = "DOMAIN=FILE")]
    pub crl: Vec<KeyedPath<TrustDomain>>,
    /// Take certificate, key, trust bundles and revocation lists from the SPIFFE Workload API, for instance of a SPIRE agent, in place
    /// of files. The address is `unix:///PATH` or `tcp://IP:PORT` [default: that of `SPIFFE_ENDPOINT_SOCKET`].
    #[cfg(feature = "workload-api")]
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        group = "identity_source",
        conflicts_with_all = ["cert", "key", "bundle", "crl", "allow_shared_key_file"]
    )]
    pub workload_api: Option<Option<String>>,
    /// Which SVID of the Workload API is this side's, by its hint or its SPIFFE ID [default: the first].
    #[cfg(feature = "workload-api")]
    #[arg(
        long,
        value_name = "HINT|ID",
        requires = "workload_api",
        conflicts_with_all = ["cert", "key", "bundle", "crl"]
    )]
    pub svid: Option<String>,
    /// Accept development certificates, those of the trust domain dev.local.
    #[arg(long)]
    pub dev: bool,
    /// Accept a key file that users other than its owner may read.
    #[arg(long)]
    pub allow_shared_key_file: bool,
    /// How often the files are checked for changes. SIGHUP checks at once.
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub reload_interval: PositiveDuration,
}

impl IdentityArguments {
    /// Reads the files and keeps watching them, or listens to the Workload API and waits up to 5 s for its first answer.
    ///
    /// # Errors
    /// What is wrong with which file, or with the address, and the flag that helps, if there is one.
    pub fn load(&self) -> Result<WatchedIdentity, Box<dyn Error>> {
        #[cfg(feature = "workload-api")]
        if let Some(source) = self.trust.workload_api()? {
            return Ok(WatchedIdentity::WorkloadApi(source));
        }
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Err("--cert and --key are missing: they say who this side is".into());
        };
        let builder = self.trust.apply(IdentityFiles::builder(cert, key));
        let files = builder.load(SystemTime::now()).map_err(|error| match error.fault() {
            IdentityError::DevelopmentDomain(_) => format!("{error} (--dev accepts it)").into(),
            _ => Box::<dyn Error>::from(error),
        })?;
        files.watch_every(self.trust.reload_interval.0)?;
        Ok(WatchedIdentity::Files(files))
    }
}

impl TrustArguments {
    /// Adds these settings to an identity.
    pub fn apply(&self, mut builder: IdentityFilesBuilder) -> IdentityFilesBuilder {
        for bundle in &self.bundle {
            builder = builder.bundle(bundle.key.clone(), &bundle.path);
        }
        for crl in &self.crl {
            builder = builder.crl(crl.key.clone(), &crl.path);
        }
        if self.dev {
            builder = builder.allow_development_domain();
        }
        if self.allow_shared_key_file {
            builder = builder.allow_shared_key_file();
        }
        builder
    }

    /// Whether identity and trust come from the Workload API.
    #[cfg(feature = "workload-api")]
    pub fn is_workload_api(&self) -> bool {
        self.workload_api.is_some()
    }

    /// Whether identity and trust come from the Workload API.
    #[cfg(not(feature = "workload-api"))]
    pub fn is_workload_api(&self) -> bool {
        false
    }
}

/// An identity that is renewed while the program runs, wherever it comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WatchedIdentity {
    /// From files.
    Files(IdentityFiles),
    /// From the SPIFFE Workload API.
    #[cfg(feature = "workload-api")]
    WorkloadApi(WorkloadApi),
}

impl WatchedIdentity {
    /// The files, which can be read again at any time. The Workload API speaks by itself.
    pub fn files(&self) -> Option<IdentityFiles> {
        match self {
            Self::Files(files) => Some(files.clone()),
            #[cfg(feature = "workload-api")]
            Self::WorkloadApi(_) => None,
        }
    }

    /// How often something new took effect.
    pub fn reloads(&self) -> u64 {
        match self {
            Self::Files(files) => files.reloads(),
            #[cfg(feature = "workload-api")]
            Self::WorkloadApi(source) => source.reloads(),
        }
    }

    /// How often something was wrong.
    pub fn failures(&self) -> u64 {
        match self {
            Self::Files(files) => files.failures(),
            #[cfg(feature = "workload-api")]
            Self::WorkloadApi(source) => source.failures(),
        }
    }

    /// The trust domains that nobody is accepted from because what is said about them cannot be used.
    pub fn unusable_trust_domains(&self) -> Vec<TrustDomain> {
        match self {
            Self::Files(files) => files.unusable_trust_domains(),
            #[cfg(feature = "workload-api")]
            Self::WorkloadApi(source) => source.unusable_trust_domains(),
        }
    }
}

impl IdentitySource for WatchedIdentity {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        match self {
            Self::Files(files) => files.snapshot(),
            #[cfg(feature = "workload-api")]
            Self::WorkloadApi(source) => source.snapshot(),
        }
    }

    fn stats(&self) -> IdentityStats {
        match self {
            Self::Files(files) => files.stats(),
            #[cfg(feature = "workload-api")]
            Self::WorkloadApi(source) => source.stats(),
        }
    }
}

/// Who may be the peer: a [`Rule`], or `own-trust-domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedPeer {
    /// Every identity of this side's own trust domain.
    OwnTrustDomain,
    /// What the rule says.
    Rule(Rule),
}

impl AllowedPeer {
    /// The policy that allows all of `allowed` and nothing of `denied`.
    pub fn policy<'rules>(
        allowed: impl IntoIterator<Item = &'rules Self> + Clone,
        denied: impl IntoIterator<Item = &'rules Rule>,
    ) -> Policy {
        let own = allowed.clone().into_iter().any(|allowed| *allowed == Self::OwnTrustDomain);
        let mut policy = if own { Policy::own_trust_domain() } else { Policy::nobody() };
        for allowed in allowed {
            if let Self::Rule(rule) = allowed {
                policy = policy.allow(rule.clone());
            }
        }
        denied.into_iter().fold(policy, |policy, rule| policy.deny(rule.clone()))
    }
}

impl FromStr for AllowedPeer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "own-trust-domain" => Ok(Self::OwnTrustDomain),
            rule => rule.parse().map(Self::Rule).map_err(|fault| format!("it {fault}")),
        }
    }
}

/// `KEY=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedPath<K> {
    /// What stands before the `=`.
    pub key: K,
    /// What stands behind it.
    pub path: PathBuf,
}

impl<K: FromStr<Err: std::fmt::Display>> FromStr for KeyedPath<K> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, path) = text.split_once('=').ok_or("it has no `=`")?;
        let key = key.parse().map_err(|fault| format!("{key:?}: {fault}"))?;
        if path.is_empty() {
            return Err("no path follows the `=`".to_owned());
        }
        Ok(Self { key, path: path.into() })
    }
}

/// A duration with a unit: `500ms`, `10s`, `5m`, `2h`, or `0`. At most 365 days.
fn parse_duration(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(31_536_000);
    let form = || "not a duration such as 500ms, 10s, 5m, 2h or 0".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| form())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(form()),
    };
    match number.checked_mul(millis).map(Duration::from_millis) {
        Some(duration) if duration <= MOST => Ok(duration),
        _ => Err("longer than 365 days".to_owned()),
    }
}

/// A duration above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositiveDuration(pub Duration);

impl FromStr for PositiveDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parse_duration(text)? {
            Duration::ZERO => Err("it has to be longer than 0".to_owned()),
            duration => Ok(Self(duration)),
        }
    }
}

/// A limit on time; `0` stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationLimit(pub Option<Duration>);

impl FromStr for DurationLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_duration(text).map(|duration| Self((!duration.is_zero()).then_some(duration)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000)]
        {
            assert_eq!(text.parse(), Ok(PositiveDuration(Duration::from_millis(millis))));
        }
        assert_eq!("0".parse(), Ok(DurationLimit(None)));
        assert_eq!("1s".parse(), Ok(DurationLimit(Some(Duration::from_secs(1)))));
        for bad in
            ["", "0", "0s", "10", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "9000h", "1 s"]
        {
            assert!(bad.parse::<PositiveDuration>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keyed_paths() {
        assert_eq!("7=/x=y".parse(), Ok(KeyedPath { key: 7_u32, path: "/x=y".into() }));
        for bad in ["7", "x=/y", "7=", "=/y", "-1=/y"] {
            assert!(bad.parse::<KeyedPath<u32>>().is_err(), "{bad}");
        }
    }

    #[test]
    fn policies() {
        let own: TrustDomain = "a.example".parse().unwrap();
        let rule = |text: &str| AllowedPeer::Rule(text.parse().unwrap());
        let allows =
            |policy: &Policy, peer: &str| policy.allows(&peer.parse().unwrap(), &own).is_ok();
        let both = [rule("spiffe://b.example/x"), AllowedPeer::OwnTrustDomain];
        let both = AllowedPeer::policy(&both, &[]);
        assert!(allows(&both, "spiffe://a.example/y") && allows(&both, "spiffe://b.example/x"));
        assert!(!allows(&both, "spiffe://b.example/y"));
        let only = AllowedPeer::policy(&[rule("spiffe://b.example/x")], &[]);
        assert!(!allows(&only, "spiffe://a.example/y"));
        let denied = ["spiffe://a.example/y".parse().unwrap()];
        let denied = AllowedPeer::policy(&[AllowedPeer::OwnTrustDomain], &denied);
        assert!(!allows(&denied, "spiffe://a.example/y"));
        assert!(allows(&denied, "spiffe://a.example/z"));
        assert!("example.org".parse::<AllowedPeer>().is_err());
    }
}
