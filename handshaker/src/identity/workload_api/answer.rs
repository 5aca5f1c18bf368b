//! What an answer says: whom to trust, and who this side is.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::SystemTime;

use pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::super::der::Reader;
use super::super::digest::{Digest, sha256_of_all};
use super::super::domains::Domains;
use super::super::error::{CertificateError, IdentityError};
use super::super::signer::{PrivateKey, Signer};
use super::super::snapshot::Identity;
use super::super::spiffe::{SpiffeId, TrustDomain};
use super::super::trust::TrustBundles;
use super::messages::{X509BundlesResponse, X509SvidResponse};

/// The most revocation lists in an answer. Each may have to be tried with the key of each authority of its issuer's name.
const MAX_LISTS: usize = 64;

/// The most names in a message for the log.
const SHOWN_NAMES: usize = 5;

/// Which of several SVIDs this side uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The first, which SPIFFE calls the default identity.
    First,
    Hint(String),
    Id(SpiffeId),
}

/// Whom to trust, by one answer. It is complete: what it does not name is not trusted.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Certificates in DER, one behind the other.
    pub(super) bundles: BTreeMap<TrustDomain, Vec<u8>>,
    /// Revocation lists of any domain.
    pub(super) lists: Vec<Vec<u8>>,
}

/// An SVID that was chosen.
pub(super) struct Svid {
    id: SpiffeId,
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// An answer to `FetchX509SVID`.
pub(super) struct Svids {
    pub(super) said: Said,
    /// An error if none is what was to be chosen.
    pub(super) chosen: Result<Svid, IdentityError>,
}

impl Svids {
    /// Takes an answer apart, if all that it must have is there.
    pub(super) fn load(
        mut answer: X509SvidResponse,
        choice: &Choice,
    ) -> Result<Self, IdentityError> {
        if answer.svids.is_empty() {
            return Err(IdentityError::Answer("it has no SVID".to_owned()));
        }
        let mut said = Said::load(mem::take(&mut answer.crl))?;
        let mut ids = Vec::with_capacity(answer.svids.len());
        for (place, svid) in answer.svids.iter_mut().enumerate() {
            for (field, is_missing) in [
                ("spiffe_id", svid.spiffe_id.is_empty()),
                ("x509_svid", svid.chain.is_empty()),
                ("x509_svid_key", svid.key.is_empty()),
                ("bundle", svid.bundle.is_empty()),
            ] {
                if is_missing {
                    return Err(IdentityError::Answer(format!("SVID {place} has no {field}")));
                }
            }
            let id: SpiffeId = svid.spiffe_id.parse().map_err(|fault| {
                IdentityError::Answer(format!("the name of SVID {place}: {fault}"))
            })?;
            said.bundles.entry(id.trust_domain()).or_insert_with(|| mem::take(&mut svid.bundle));
            ids.push(id);
        }
        said.add_bundles(mem::take(&mut answer.federated_bundles));
        let place = match choice {
            Choice::First => Some(0),
            Choice::Hint(hint) => answer.svids.iter().position(|svid| svid.hint == *hint),
            Choice::Id(wanted) => ids.iter().position(|id| id == wanted),
        };
        let chosen = match place {
            Some(place) => {
                let svid = &mut answer.svids[place];
                Ok(Svid {
                    id: ids.swap_remove(place),
                    chain: mem::take(&mut svid.chain),
                    key: Zeroizing::new(mem::take(&mut svid.key)),
                })
            }
            None => Err(not_there(choice, &ids)),
        };
        Ok(Self { said, chosen })
    }
}

impl Said {
    /// Takes an answer to `FetchX509Bundles`.
    pub(super) fn of_bundles(answer: X509BundlesResponse) -> Result<Self, IdentityError> {
        if answer.bundles.is_empty() {
            return Err(IdentityError::Answer("it has no trust bundle".to_owned()));
        }
        let mut said = Self::load(answer.crl)?;
        said.add_bundles(answer.bundles);
        Ok(said)
    }

    fn load(lists: Vec<Vec<u8>>) -> Result<Self, IdentityError> {
        if lists.len() > MAX_LISTS {
            return Err(IdentityError::Answer(format!(
                "{} revocation lists, more than {MAX_LISTS}",
                lists.len()
            )));
        }
        Ok(Self { lists, bundles: BTreeMap::new() })
    }

    /// Bundles by the SPIFFE IDs of their trust domains. An SVID's bundle comes before another of the same domain.
    fn add_bundles(&mut self, bundles: BTreeMap<String, Vec<u8>>) {
        for (name, bundle) in bundles {
            let domain = name.strip_prefix("spiffe://").unwrap_or(&name).parse::<TrustDomain>();
            match domain {
                Ok(domain) => drop(self.bundles.entry(domain).or_insert(bundle)),
                // Nobody can be in it.
                Err(fault) => {
                    let name: String = name.chars().take(80).collect();
                    tracing::warn!(?name, %fault, "a trust bundle of the Workload API is of no trust domain");
                }
            }
        }
    }
}

impl Svid {
    /// Of everything that decides about the identity.
    pub(super) fn digest(&self) -> Digest {
        sha256_of_all([self.id.as_str().as_bytes(), &self.chain, &self.key])
    }

    /// The identity, with the bundles as they are.
    pub(super) fn identity(
        &self,
        domains: &Domains,
        template: &TrustBundles,
        now: SystemTime,
    ) -> Result<Arc<Identity>, IdentityError> {
        let identity = self.verified(domains, template, now).map_err(|fault| match fault {
            // The bundle's fault is the cause, and says where it is.
            IdentityError::NoOwnBundle(domain) => match domains.fault(&domain) {
                Some(fault) => fault.clone(),
                None => IdentityError::NoOwnBundle(domain).in_answer(self.part()),
            },
            fault => fault.in_answer(self.part()),
        })?;
        Ok(identity)
    }

    fn verified(
        &self,
        domains: &Domains,
        template: &TrustBundles,
        now: SystemTime,
    ) -> Result<Arc<Identity>, IdentityError> {
        let chain = certificates(&self.chain).map_err(IdentityError::Chain)?;
        let signer: Arc<dyn Signer> = Arc::new(PrivateKey::from_der(&self.key)?);
        let identity = domains.identity(&chain, &signer, template, now)?;
        if *identity.id() != self.id {
            return Err(IdentityError::Answer(format!("its certificate is {}'s", identity.id())));
        }
        Ok(identity)
    }

    fn part(&self) -> String {
        format!("the SVID {}", self.id)
    }
}

/// The certificates in `der`. Not many more than a chain may have: their number is checked later.
fn certificates(der: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    const MORE_THAN_ENOUGH: usize = 16;
    let mut rest = Reader::new(der);
    let mut chain = Vec::new();
    while !rest.is_empty() && chain.len() < MORE_THAN_ENOUGH {
        let malformed = CertificateError::Malformed { position: chain.len(), part: "the whole" };
        let certificate = rest.element().ok_or(malformed)?;
        chain.push(CertificateDer::from(certificate.whole.to_vec()));
    }
    Ok(chain)
}

fn not_there(choice: &Choice, ids: &[SpiffeId]) -> IdentityError {
    let wanted = match choice {
        Choice::First => String::new(),
        Choice::Hint(hint) => format!(" with the hint {hint:?}"),
        Choice::Id(id) => format!(" {id}"),
    };
    let mut given: Vec<_> = ids.iter().take(SHOWN_NAMES).map(SpiffeId::as_str).collect();
    if ids.len() > SHOWN_NAMES {
        given.push("...");
    }
    IdentityError::Unavailable(format!(
        "the Workload API gives no SVID{wanted}; it gives {}",
        given.join(", ")
    ))
}
