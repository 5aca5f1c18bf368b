//! The SPIFFE Workload API, as arguments name it.

use std::env;
use std::error::Error;
use std::time::Duration;

use super::TrustArguments;
use crate::identity::{IdentityError, SPIFFE_ENDPOINT_SOCKET, SpiffeId, WorkloadApi};

/// How long a program that starts waits for its identity.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

impl TrustArguments {
    /// Listens to the Workload API, if that is where the identity comes from, and waits up to 5 s for the first answer. Without one,
    /// or without an identity in it, the program goes on: its handshakes fail until there is one.
    ///
    /// # Errors
    /// There is no address, or it cannot be one; the SVID that was to be chosen is not a name.
    pub fn workload_api(&self) -> Result<Option<WorkloadApi>, Box<dyn Error>> {
        let Some(address) = &self.workload_api else { return Ok(None) };
        let address = address_or_environment(address.as_deref(), env::var(SPIFFE_ENDPOINT_SOCKET))?;
        let mut builder = WorkloadApi::builder(&address)?;
        match self.svid.as_deref() {
            None => {}
            Some(id) if id.starts_with("spiffe://") => {
                let id =
                    id.parse::<SpiffeId>().map_err(|fault| format!("--svid {id}: it {fault}"))?;
                builder = builder.spiffe_id(id);
            }
            Some(hint) => builder = builder.hint(hint),
        }
        if self.dev {
            builder = builder.allow_development_domain();
        }
        let source = builder.start()?;
        source.wait_for_answer(FIRST_ANSWER);
        if let Some(fault) = source.last_error()
            && let IdentityError::DevelopmentDomain(_) = fault.fault()
        {
            return Err(format!("{fault} (--dev accepts it)").into());
        }
        Ok(Some(source))
    }
}

fn address_or_environment(
    given: Option<&str>,
    variable: Result<String, env::VarError>,
) -> Result<String, String> {
    match (given, variable) {
        (Some(address), _) => Ok(address.to_owned()),
        (None, Ok(address)) => Ok(address),
        (None, Err(fault)) => Err(format!(
            "--workload-api has no address, and {SPIFFE_ENDPOINT_SOCKET} has none either ({fault}); set it to \
             unix:///path/to/socket, or say --workload-api unix:///path/to/socket"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_comes_before_the_environment() {
        let set = || Ok("unix:///b".to_owned());
        assert_eq!(address_or_environment(Some("unix:///a"), set()).unwrap(), "unix:///a");
        assert_eq!(address_or_environment(None, set()).unwrap(), "unix:///b");
        let refused = address_or_environment(None, Err(env::VarError::NotPresent)).unwrap_err();
        assert!(refused.contains("SPIFFE_ENDPOINT_SOCKET"), "{refused}");
    }
}
