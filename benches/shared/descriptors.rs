//! How many descriptors a process may have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The descriptors that this process may open, after asking for as many as it can get.
pub fn raise() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .expect("the limit can be raised to the hard one");
    usize::try_from(hard).unwrap_or(usize::MAX)
}
