//! Whose tickets are whose.

use ring::digest::{Context, SHA256};
use zeroize::Zeroize;

use crate::identity::SpiffeId;
use crate::labels::Expander;

/// The longest realm, in bytes.
pub(crate) const MAX_REALM: usize = 255;

const LABEL_SCOPE: &str = "ticket scope";

/// Whose tickets these are: they open nowhere else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// The server's own identity.
    pub(crate) server: &'a SpiffeId,
    /// Parts acceptors of one identity that must not share sessions. At most [`MAX_REALM`] bytes.
    pub(crate) realm: &'a [u8],
}

impl Scope<'_> {
    fn hash(&self) -> [u8; 32] {
        let server = self.server.as_str().as_bytes();
        let mut context = Context::new(&SHA256);
        context.update(&(server.len() as u16).to_be_bytes());
        context.update(server);
        context.update(&[self.realm.len() as u8]);
        context.update(self.realm);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

/// A ticket key's secret for one scope. It is written in its place and wiped there.
pub(super) struct ScopeSecret {
    server: SpiffeId,
    realm: Box<[u8]>,
    secret: Box<[u8; 32]>,
}

impl Drop for ScopeSecret {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl ScopeSecret {
    pub(super) fn new(key: &[u8; 32], scope: &Scope<'_>) -> Self {
        let (server, realm) = (scope.server.clone(), scope.realm.into());
        let mut scoped = Self { server, realm, secret: Box::new([0; 32]) };
        Expander::of(key).expand(LABEL_SCOPE, &scope.hash(), &mut *scoped.secret);
        scoped
    }

    pub(super) fn is_of(&self, scope: &Scope<'_>) -> bool {
        self.server == *scope.server && *self.realm == *scope.realm
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}
