//! What the figures were taken on, and of.

use std::fs;
use std::process::Command;

/// A line for each circumstance. `congestion` is the congestion control that was chosen, if not the system's.
pub fn description(congestion: Option<&str>) -> Vec<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let congestion = match congestion {
        Some(name) => format!("{name}, by --congestion"),
        None => read("/proc/sys/net/ipv4/tcp_congestion_control"),
    };
    vec![
        format!("machine: {}, {cores} cores", model(&read("/proc/cpuinfo"))),
        format!("kernel: Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        format!("congestion control: {}", congestion.trim_end()),
        format!("compiler: {}", said("rustc", &["--version"])),
        format!("date: {}", said("date", &["-u", "+%F"])),
        format!("commit: {}", commit()),
        format!("versions: {}", versions()),
    ]
}

fn model(cpuinfo: &str) -> &str {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("unknown processor", |line| line.trim_start_matches([' ', '\t', ':']))
}

fn commit() -> String {
    // Figures that were taken just now are no change of what they are of.
    const CHANGED: [&str; 6] =
        ["status", "--porcelain", "--untracked-files=no", "--", ":/", ":!results"];
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    match said("git", &CHANGED).as_str() {
        "" => commit,
        _ => format!("{commit} with changes"),
    }
}

/// Of the crates that matter, from the lock file.
fn versions() -> String {
    const LOCK: &str = include_str!("../../Cargo.lock");
    const CRATES: [&str; 8] =
        ["tonic", "hyper", "h2", "rustls", "tokio-rustls", "ring", "aws-lc-rs", "tokio"];
    let version = |name: &&str| {
        let (_, package) = LOCK.split_once(&format!("\nname = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", package.split('"').next()?))
    };
    CRATES.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

/// What a program prints, without the end of the line.
fn said(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}
