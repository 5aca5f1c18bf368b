//! The identities, watched.

use std::error::Error;
use std::path::Path;
use std::time::SystemTime;

use alts_handshaker::cli::WatchedIdentity;
use alts_handshaker::identity::{IdentityFiles, IdentitySource};
use alts_handshaker::service::HandshakerServiceBuilder;

use super::arguments::Serve;

/// Names that a chain and its key may have in a directory: those of `dev-ca issue`, and those of Kubernetes' TLS secrets.
const FILE_NAMES: [(&str, &str); 2] = [("chain.pem", "key.pem"), ("tls.crt", "tls.key")];

#[derive(Default)]
pub(super) struct DaemonIdentities(Vec<DaemonIdentity>);

pub(super) struct DaemonIdentity {
    /// `None`: of callers without one of their own.
    uid: Option<u32>,
    /// The chain's file, or `workload-api`.
    pub(super) name: String,
    pub(super) source: WatchedIdentity,
}

impl DaemonIdentities {
    pub(super) fn load(arguments: &Serve) -> Result<Self, Box<dyn Error>> {
        let mut identities = Vec::new();
        if let Some(source) = arguments.trust.workload_api()? {
            match source.snapshot() {
                Ok(identity) => tracing::info!(id = %identity.id(), "identity of the Workload API"),
                Err(fault) => tracing::warn!(%fault, "the daemon starts without an identity"),
            }
            let source = WatchedIdentity::WorkloadApi(source);
            identities.push(DaemonIdentity { uid: None, name: "workload-api".to_owned(), source });
        }
        if let (Some(cert), Some(key)) = (&arguments.cert, &arguments.key) {
            identities.push(DaemonIdentity::load(arguments, None, cert, key)?);
        }
        for of_user in &arguments.identity_for_uid {
            let dir = &of_user.path;
            let (cert, key) = FILE_NAMES
                .into_iter()
                .find(|(cert, _)| dir.join(cert).exists())
                .ok_or_else(|| format!("no chain.pem and no tls.crt in {}", dir.display()))?;
            let (cert, key) = (dir.join(cert), dir.join(key));
            identities.push(DaemonIdentity::load(arguments, Some(of_user.key), &cert, &key)?);
        }
        Ok(Self(identities))
    }

    pub(super) fn give_to(&self, builder: HandshakerServiceBuilder) -> HandshakerServiceBuilder {
        self.0.iter().fold(builder, |builder, identity| match identity.uid {
            Some(uid) => builder.identity_of_user(uid, identity.source.clone()),
            None => builder.identity(identity.source.clone()),
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &DaemonIdentity> {
        self.0.iter()
    }
}

impl DaemonIdentity {
    fn load(
        arguments: &Serve,
        uid: Option<u32>,
        cert: &Path,
        key: &Path,
    ) -> Result<Self, Box<dyn Error>> {
        let builder = arguments.trust.apply(IdentityFiles::builder(cert, key));
        let files = builder.load(SystemTime::now())?;
        files.watch_every(arguments.trust.reload_interval.0)?;
        let id = files.snapshot()?.id().to_string();
        tracing::info!(uid, id, "identity loaded");
        let source = WatchedIdentity::Files(files);
        Ok(Self { uid, name: cert.display().to_string(), source })
    }
}
