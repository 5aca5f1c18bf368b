//! hashicorp/yamux, where Go and the package are installed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian's packages are.
const SOURCES: &str = "/usr/share/gocode";

/// Builds the program beside this one.
pub(crate) fn build() -> Option<PathBuf> {
    let library = Path::new(SOURCES).join("src/github.com/hashicorp/yamux");
    let target = std::env::current_exe().ok()?.parent()?.to_owned();
    let program = target.join("yamux-hashicorp-bench");
    let built = library.exists().then(|| {
        Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/yamux/hashicorp"))
            .envs([("GO111MODULE", "off"), ("GOPATH", SOURCES), ("GOFLAGS", "")])
            .env("GOCACHE", target.join("gocache"))
            .status()
    });
    if let Some(Ok(status)) = built
        && status.success()
    {
        return Some(program);
    }
    eprintln!("SKIPPED: hashicorp's, which needs golang-go and golang-github-hashicorp-yamux-dev");
    None
}

pub(crate) fn run(program: &Path, words: &[&str]) -> Vec<(String, f64)> {
    crate::output(Command::new(program).args(words))
}
