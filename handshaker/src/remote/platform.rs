//! Whether this machine is one of Google Cloud.

use std::fs;

use crate::error::Error;

/// Where Linux shows what the machine calls itself.
pub(super) const PRODUCT_NAME: &str = "/sys/class/dmi/id/product_name";

/// What Google's machines call themselves; gRPC compares with the same names.
const GOOGLES: [&str; 2] = ["Google", "Google Compute Engine"];

pub(super) fn check(path: &str) -> Result<(), Error> {
    let found = match fs::read_to_string(path) {
        Ok(name) if GOOGLES.contains(&name.trim()) => return Ok(()),
        Ok(name) => format!("{path} says {:?}", name.trim()),
        Err(fault) => format!("{path} cannot be read: {fault}"),
    };
    Err(Error::misuse(format!(
        "this machine is not one of Google Cloud ({found}), so there is no trusted handshaker service at this address"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_googles_names_pass() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("product_name");
        let path = path.to_str().unwrap();
        assert!(check(path).is_err(), "no file");
        for (name, passes) in [
            ("Google\n", true),
            (" Google Compute Engine \n", true),
            ("KVM\n", false),
            ("google\n", false),
            ("Googles\n", false),
            ("", false),
        ] {
            fs::write(path, name).unwrap();
            assert_eq!(check(path).is_ok(), passes, "{name:?}");
        }
    }
}
