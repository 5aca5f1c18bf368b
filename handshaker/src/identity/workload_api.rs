//! An identity from the SPIFFE Workload API, followed as the agent renews it.

mod address;
mod answer;
mod backoff;
mod bundles;
mod follow;
mod messages;

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::domains::Domains;
use super::error::IdentityError;
use super::reloading::{Found, Reloading, State};
use super::snapshot::Identity;
use super::source::IdentitySource;
use super::spiffe::{SpiffeId, TrustDomain};
use super::stats::IdentityStats;
use super::trust::TrustBundles;
use super::validity::shown;
use address::Address;
use answer::{Choice, Said, Svid, Svids};
use follow::{Alive, End};
use messages::{X509BundlesResponse, X509SvidResponse};

/// The environment variable that says where a machine's Workload API is. This library reads no environment; programs do, and pass
/// on what they find.
pub const SPIFFE_ENDPOINT_SOCKET: &str = "SPIFFE_ENDPOINT_SOCKET";

/// How long an agent may take for the first answer on a stream, which the standard has it send without delay.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an agent that should have renewed an identity may stay silent before the call is made again.
const OVERDUE: Duration = Duration::from_secs(300);

/// An identity from the SPIFFE Workload API, for instance a SPIRE agent's: certificate, key, trust bundles and revocation lists, each
/// replaced when the agent says so.
///
/// A thread of its own listens to both `FetchX509SVID` and `FetchX509Bundles`, and ends with the last handle. Cloning gives another
/// handle to the same identity.
///
/// * **Certificate and key** take effect together, if they are good, as those of [`IdentityFiles`](super::IdentityFiles) do; otherwise the
///   old ones stay, and the new ones are tried again when the bundles change and every 5 s.
/// * **Bundles** take effect at once, each domain by itself. An answer is complete, and the latest of either call counts: a domain
///   that it does not name is not trusted any more, and one whose bundle cannot be read has no accepted peers.
/// * **Revocation lists** count for the domains whose authorities made them. One that cannot be read closes its issuer's domain, or
///   all, if its issuer cannot be read either.
/// * **No identity**: an agent that has none for this process (`PermissionDenied`), or not the one that was chosen, takes away what there
///   was. Servers then answer handshakes with the alert `no_identity`, until there is one.
/// * **An agent that is away**, silent, or answers what makes no sense changes nothing: what was last good stays
///   ([`last_answer`](Self::last_answer), [`lost_since`](Self::lost_since)) and is used until it expires. It is asked again after 0.1 to
///   30 s, or after 5 minutes where it says that it does not know the call.
///
/// An answer has at most 4 MiB, and 64 revocation lists.
///
/// ```no_run
/// use std::time::Duration;
/// use alts_handshaker::LocalHandshaker;
/// use alts_handshaker::identity::{SPIFFE_ENDPOINT_SOCKET, WorkloadApi};
///
/// let address = std::env::var(SPIFFE_ENDPOINT_SOCKET)?; // unix:///run/spire/sockets/agent.sock
/// let identity = WorkloadApi::builder(&address)?.start()?;
/// identity.wait_for_answer(Duration::from_secs(5));
/// let handshaker = LocalHandshaker::builder(identity).build();
/// # let _ = handshaker;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WorkloadApi {
    shared: Arc<Shared>,
    _alive: Arc<Alive>,
}

/// Says where a [`WorkloadApi`] is, and which SVID is this side's.
#[derive(Clone, Debug)]
#[must_use = "nothing is asked before `start`"]
pub struct WorkloadApiBuilder {
    address: Address,
    choice: Choice,
    template: TrustBundles,
    answer_timeout: Duration,
}

struct Shared {
    address: Address,
    choice: Choice,
    /// No domain, and whether development certificates are allowed.
    template: TrustBundles,
    answer_timeout: Duration,
    reloading: Reloading,
    /// Locked before the state of `reloading`.
    heard: Mutex<Heard>,
    /// Told when the first answer has come.
    answered: Condvar,
}

/// What the agent said.
#[derive(Default)]
struct Heard {
    has_answered: bool,
    svids: Option<Said>,
    bundles: Option<Said>,
    /// Which of both said it last.
    latest: Option<Source>,
    /// An SVID that could not be used, and may be later.
    pending: Option<Svid>,
    /// Why the last answer was not used at all. The log says it already.
    discarded: Option<IdentityError>,
    last_answer: Option<SystemTime>,
    lost_since: Option<SystemTime>,
}

/// A call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Svids,
    Bundles,
}

impl WorkloadApi {
    /// An identity from the Workload API at `address`: `unix:///path/to/socket` or `tcp://IP:PORT`.
    ///
    /// The agent gives private keys to whoever connects there, and believes the kernel about who that is; who takes the agent's place
    /// decides who this side is and whom it trusts. A TCP address has to be one that no other machine can answer at.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Address`] says what is wrong with the address.
    pub fn builder(address: &str) -> Result<WorkloadApiBuilder, IdentityError> {
        Ok(WorkloadApiBuilder {
            address: Address::parse(address)?,
            choice: Choice::First,
            template: TrustBundles::new(),
            answer_timeout: ANSWER_TIMEOUT,
        })
    }

    /// Waits until the agent has answered, be it that there is no identity, and for `at_most` if it does not. Blocks.
    pub fn wait_for_answer(&self, at_most: Duration) {
        let heard = self.shared.heard();
        let waited =
            self.shared.answered.wait_timeout_while(heard, at_most, |heard| !heard.has_answered);
        drop(waited);
    }

    /// How often an answer changed something.
    pub fn reloads(&self) -> u64 {
        self.shared.reloading.reloads()
    }

    /// How many answers had something wrong.
    pub fn failures(&self) -> u64 {
        self.shared.reloading.failures()
    }

    /// The first thing that was wrong with the last answer; `None` if all was well.
    pub fn last_error(&self) -> Option<IdentityError> {
        let heard = self.shared.heard();
        heard.discarded.clone().or_else(|| self.shared.reloading.state().fault())
    }

    /// The trust domains whose bundles cannot be used, so that none of their peers is accepted.
    pub fn unusable_trust_domains(&self) -> Vec<TrustDomain> {
        let state = self.shared.reloading.state();
        state.domains.faults().map(|(domain, _)| domain.clone()).collect()
    }

    /// When the agent last gave an answer that could be used, which is from when the bundles are.
    pub fn last_answer(&self) -> Option<SystemTime> {
        self.shared.heard().last_answer
    }

    /// Since when the agent does not answer; `None` while it is listened to.
    pub fn lost_since(&self) -> Option<SystemTime> {
        self.shared.heard().lost_since
    }
}

impl WorkloadApiBuilder {
    /// Uses the SVID with this hint, rather than the first.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.choice = Choice::Hint(hint.into());
        self
    }

    /// Uses the SVID with this name, rather than the first.
    pub fn spiffe_id(mut self, id: SpiffeId) -> Self {
        self.choice = Choice::Id(id);
        self
    }

    /// Takes development certificates ([`DEVELOPMENT_TRUST_DOMAIN`](super::DEVELOPMENT_TRUST_DOMAIN)).
    pub fn allow_development_domain(mut self) -> Self {
        self.template.allow_development_domain();
        self
    }

    /// How long the agent may take for the first answer on a stream, connecting included. Default 30 s.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Starts to listen. There is no identity until the agent has given one.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(self) -> Result<WorkloadApi, IdentityError> {
        let endpoint = self.address.endpoint()?;
        let shared = Arc::new(Shared::new(self));
        let (alive, dropped) = follow::lifeline();
        follow::start(&shared, endpoint, dropped)?;
        Ok(WorkloadApi { shared, _alive: Arc::new(alive) })
    }
}

impl IdentitySource for WorkloadApi {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        self.shared.reloading.current()
    }

    fn stats(&self) -> IdentityStats {
        self.shared.reloading.stats()
    }
}

impl fmt::Debug for WorkloadApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.shared.reloading.current();
        let mut shown = f.debug_struct("WorkloadApi");
        shown.field("address", &format_args!("{}", self.shared.address));
        if let Ok(identity) = &current {
            shown.field("id", identity.id());
        }
        shown.finish_non_exhaustive()
    }
}

impl Shared {
    fn new(settings: WorkloadApiBuilder) -> Self {
        let WorkloadApiBuilder { address, choice, template, answer_timeout } = settings;
        let nothing = IdentityError::Unavailable(format!(
            "the Workload API at {address} has not answered yet"
        ));
        let reloading =
            Reloading::new(Err(nothing), None, Domains::default(), SystemTime::UNIX_EPOCH);
        Self {
            address,
            choice,
            template,
            answer_timeout,
            reloading,
            heard: Mutex::default(),
            answered: Condvar::new(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard_svids(&self, answer: X509SvidResponse, now: SystemTime) {
        let mut heard = self.heard();
        match Svids::load(answer, &self.choice) {
            Ok(Svids { said, chosen }) => {
                heard.svids = Some(said);
                let mut state = self.reloading.state();
                match chosen {
                    Ok(svid) => heard.pending = Some(svid),
                    Err(reason) => {
                        heard.pending = None;
                        self.reloading.withdraw(&mut state, reason);
                    }
                }
                self.apply(&mut heard, &mut state, Source::Svids, now);
            }
            Err(fault) => self.discard(&mut heard, fault),
        }
        self.note_answer(&mut heard);
    }

    fn heard_bundles(&self, answer: X509BundlesResponse, now: SystemTime) {
        let mut heard = self.heard();
        match Said::of_bundles(answer) {
            Ok(said) => {
                heard.bundles = Some(said);
                let mut state = self.reloading.state();
                self.apply(&mut heard, &mut state, Source::Bundles, now);
            }
            Err(fault) => self.discard(&mut heard, fault),
        }
    }

    /// Uses an answer.
    fn apply(&self, heard: &mut Heard, state: &mut State, from: Source, now: SystemTime) {
        heard.latest = Some(from);
        heard.last_answer = Some(now);
        if heard.discarded.take().is_some() {
            tracing::info!("the answers of the Workload API are valid again");
        }
        self.take(heard, state, now);
        if state.fault().is_some() {
            self.reloading.count_failure();
        }
    }

    /// Has what was said last take effect.
    fn take(&self, heard: &mut Heard, state: &mut State, now: SystemTime) {
        let said = match heard.latest {
            Some(Source::Svids) => heard.svids.as_ref(),
            Some(Source::Bundles) => heard.bundles.as_ref(),
            None => None,
        };
        let mut trust_changed = false;
        if let Some(said) = said {
            let loaded = bundles::load_changed(&state.domains, said, &self.template);
            trust_changed = state.domains.update(loaded, now);
            trust_changed |= state.domains.keep_only(|domain| said.bundles.contains_key(domain));
        }
        let template = &self.template;
        let pair = heard.pending.as_ref().map(Svid::digest);
        let make = heard.pending.as_ref();
        let make = make.map(|svid| move |domains: &Domains| svid.identity(domains, template, now));
        let in_chain = |fault: IdentityError| fault.in_answer("this side's SVID");
        let found = Found { trust_changed, pair, make, in_chain, template };
        let changed = self.reloading.take(state, found, now);
        if pair.is_some_and(|pair| state.has_pair(&pair)) {
            // Its key is the signer's now.
            heard.pending = None;
        }
        self.reloading.note_life(state, changed, now);
    }

    fn discard(&self, heard: &mut Heard, fault: IdentityError) {
        self.reloading.count_failure();
        if heard.discarded.as_ref() != Some(&fault) {
            tracing::warn!(%fault, "an answer of the Workload API is not used");
        }
        if self.reloading.current().is_err() {
            self.reloading.withdraw(&mut self.reloading.state(), fault.clone());
        }
        heard.discarded = Some(fault);
    }

    fn note_answer(&self, heard: &mut Heard) {
        heard.has_answered = true;
        if heard.lost_since.take().is_some() {
            tracing::info!("the Workload API answers again");
        }
        self.answered.notify_all();
    }

    fn svids_ended(&self, end: &End, now: SystemTime) {
        let mut heard = self.heard();
        if end.is_denial() {
            // It answers, and what it says is that all SVIDs are redacted.
            let reason =
                format!("the Workload API at {} has none for this process ({end})", self.address);
            heard.pending = None;
            heard.svids = None;
            self.reloading
                .withdraw(&mut self.reloading.state(), IdentityError::Unavailable(reason));
            self.note_answer(&mut heard);
            return;
        }
        let current = self.reloading.current();
        if heard.lost_since.is_none() {
            heard.lost_since = Some(now);
            if let (Ok(identity), Some(since)) = (&current, heard.last_answer) {
                tracing::warn!(
                    id = %identity.id(),
                    address = %self.address,
                    fault = %end,
                    since = shown(since),
                    not_after = shown(identity.not_after()),
                    "the Workload API does not answer; this side keeps what it was last given",
                );
            }
        }
        if current.is_err() {
            let reason = format!("the Workload API at {} does not answer: {end}", self.address);
            self.reloading
                .withdraw(&mut self.reloading.state(), IdentityError::Unavailable(reason));
        }
    }

    /// The SVIDs' stream has bundles, too, and says in the log whether there is an agent.
    fn bundles_ended(&self, end: &End, now: SystemTime) {
        if !end.is_denial() {
            tracing::debug!(fault = %end, "the stream of bundles ended");
            return;
        }
        let mut heard = self.heard();
        if heard.bundles.take().is_some() && heard.latest == Some(Source::Bundles) {
            tracing::warn!(fault = %end, "the Workload API takes back its bundles; those beside the SVIDs count");
            // Without any, nobody is trusted.
            heard.svids.get_or_insert_default();
            heard.latest = Some(Source::Svids);
            self.take(&mut heard, &mut self.reloading.state(), now);
        }
    }

    /// Tries again what time may have cured, and watches the identity's age.
    fn look(&self, now: SystemTime) {
        let mut heard = self.heard();
        let mut state = self.reloading.state();
        if heard.pending.is_some() {
            self.take(&mut heard, &mut state, now);
        } else {
            self.reloading.note_life(&mut state, false, now);
        }
    }

    /// How long the agent may say nothing: until four fifths of the identity's life are over. It should have renewed it by then.
    fn patience(&self, now: SystemTime) -> Option<Duration> {
        let identity = self.reloading.current().ok()?;
        let (start, end) = (identity.not_before(), identity.not_after());
        let late = start + end.duration_since(start).unwrap_or_default() / 5 * 4;
        Some(late.duration_since(now).unwrap_or_default().max(OVERDUE))
    }
}
