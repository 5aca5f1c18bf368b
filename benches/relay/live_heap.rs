//! The live heap of a program as it is shipped, counted by a preloaded library: `live_heap.c`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;

/// The library, built with the system's C compiler.
pub(crate) struct Counter {
    library: PathBuf,
}

/// Where a process keeps its count.
pub(crate) struct Count(NamedTempFile);

impl Counter {
    /// `None` where there is no C compiler, or no glibc.
    pub(crate) fn build(directory: &Path) -> Option<Self> {
        let library = directory.join("live_heap.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/relay/live_heap.c");
        let built = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", source, "-o"])
            .arg(&library)
            .status();
        let counter = Self { library };
        let works = built.is_ok_and(|status| status.success()) && counter.counts(directory);
        works.then_some(counter)
    }

    /// Whether a process that is certain to allocate does count.
    fn counts(&self, directory: &Path) -> bool {
        let mut command = Command::new("sort");
        let count = self.watch(&mut command, directory);
        command.arg("/dev/null").stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success()) && count.live() != 0
    }

    /// Makes the process count what it allocates.
    pub(crate) fn watch(&self, command: &mut Command, directory: &Path) -> Count {
        let mut file = NamedTempFile::new_in(directory).expect("a file");
        file.write_all(&0_i64.to_ne_bytes()).expect("it is written");
        command.env("LD_PRELOAD", &self.library).env("LIVE_HEAP", file.path());
        Count(file)
    }
}

impl Count {
    /// Bytes that are allocated now.
    pub(crate) fn live(&self) -> i64 {
        let bytes = fs::read(self.0.path()).expect("the count can be read");
        i64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
    }
}
