//! Processor time, and on which core it is spent.

use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

/// Seconds that this process, with all its threads, has used so far, in the kernel and outside.
pub fn cpu_time() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every process has a usage");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}

/// The cores that this thread may use.
pub fn allowed() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("a set of cores");
    (0..CpuSet::count()).filter(|&core| allowed.is_set(core) == Ok(true)).collect()
}

/// Has this thread, and those that it starts later, run on this core only.
pub fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core).expect("a core that a set can have");
    sched_setaffinity(Pid::from_raw(0), &cores).expect("a core that there is");
}
