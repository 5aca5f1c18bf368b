//! The identities, and which caller may use which.

use std::collections::HashMap;
use std::sync::Arc;

use super::Caller;
use super::rejection::Rejection;
use crate::engine::Handshake;
use crate::error::Error;
use crate::identity::{Identity, IdentitySource};
use crate::local::LocalHandshaker;
use crate::role::Role;
use crate::rpc_status::Refusal;
use crate::session::HandshakeOptions;

/// One identity with the policies under which it is used.
#[derive(Debug)]
pub(super) struct Usable {
    pub(super) source: Arc<dyn IdentitySource>,
    pub(super) handshaker: LocalHandshaker,
}

#[derive(Debug, Default)]
pub(super) struct Identities {
    pub(super) of_anybody: Vec<Usable>,
    pub(super) of_user: HashMap<u32, Vec<Usable>>,
    pub(super) has_server_policy: bool,
}

/// The identity and the policies of one handshake.
#[derive(Debug)]
pub(super) struct Chosen<'identities> {
    identity: Arc<Identity>,
    handshaker: &'identities LocalHandshaker,
    /// The caller's own tickets.
    partition: u64,
}

impl Identities {
    /// The identity for a caller that asks for one of `wanted`, or for whatever it gets if that is empty.
    pub(super) fn choose(
        &self,
        caller: Caller,
        wanted: &[String],
    ) -> Result<Chosen<'_>, Rejection> {
        let partition = partition(caller);
        let own = caller.uid.and_then(|uid| self.of_user.get(&uid));
        let usable = own.unwrap_or(&self.of_anybody);
        if usable.is_empty() {
            return Err(denied("no identity is configured for this caller"));
        }
        let snapshot = |usable: &Usable| usable.source.snapshot().map_err(Error::Identity);
        if wanted.is_empty() {
            let first = &usable[0];
            let identity = snapshot(first)?;
            return Ok(Chosen { identity, handshaker: &first.handshaker, partition });
        }
        let mut chosen = None;
        for name in wanted {
            let mut found = None;
            for candidate in usable {
                let identity = snapshot(candidate)?;
                if identity.id().as_str() == name {
                    let handshaker = &candidate.handshaker;
                    found = Some(Chosen { identity, handshaker, partition });
                    break;
                }
            }
            // Every name must be one of the caller's, though only the first is used.
            let found = found
                .ok_or_else(|| denied(&format!("the caller may not be {}", name.escape_debug())))?;
            chosen.get_or_insert(found);
        }
        chosen.ok_or_else(|| denied("no identity"))
    }
}

impl Chosen<'_> {
    pub(super) fn begin(self, role: Role, options: &HandshakeOptions) -> Result<Handshake, Error> {
        self.handshaker.handshake_as(self.identity, role, options, self.partition)
    }
}

/// No user sees another one's tickets. Callers whose user is not known have theirs together, as they have everything else.
fn partition(caller: Caller) -> u64 {
    caller.uid.map_or(u64::MAX, u64::from)
}

fn denied(detail: &str) -> Rejection {
    Rejection::refused(Refusal::IdentityDenied, detail)
}
