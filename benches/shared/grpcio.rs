//! grpcio's server, in Python: an orientation for the figures of others.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::child::Child;

/// From the Python Package Index.
const PACKAGE: &str = "grpcio==1.85.3";

/// Starts it, installing it below `directory` first if it is not there. It says where it listens, then answers each order with its
/// processor time in seconds. `None`, after a line that says why, where it cannot be installed.
pub fn start(directory: &Path) -> Option<Child> {
    match installed(&directory.join("grpcio")) {
        Ok(python) => {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/grpcio/server.py");
            Some(Child::start(Command::new(python).arg(script)))
        }
        Err(why) => {
            eprintln!("SKIPPED: grpcio's server: {why}");
            None
        }
    }
}

fn installed(directory: &Path) -> Result<PathBuf, String> {
    let python = directory.join("bin/python");
    let imports = || run(Command::new(&python).args(["-c", "import grpc"]));
    if imports().is_err() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(directory))?;
        let pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", PACKAGE];
        run(Command::new(&python).args(pip))?;
        imports()?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?}: {}", said.trim_end().lines().last().unwrap_or_default()))
        }
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
