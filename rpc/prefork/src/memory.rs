//! The resident memory of workers, measured from time to time.

use std::fs;

use common::Millis;
use nix::unistd::Pid;

/// Time between two measurements. One costs some microseconds a worker, and slow leaks grow slowly.
const EVERY: Millis = Millis(1_000);

/// The time of the next measurement.
#[derive(Debug)]
pub(crate) struct Schedule(Option<Millis>);

impl Schedule {
    /// Schedules the first measurement for now, or none at all.
    pub(crate) fn new(wanted: bool, now: Millis) -> Self {
        Self(wanted.then_some(now))
    }

    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.0
    }

    /// Returns true if a measurement is due, and schedules the next one.
    pub(crate) fn is_due(&mut self, now: Millis) -> bool {
        let due = self.0.is_some_and(|at| at <= now);
        if due {
            self.0 = Some(now + EVERY);
        }
        due
    }
}

/// Returns the resident memory of a process in bytes; `None` if it is gone.
pub(crate) fn resident(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_living_process_is_known() {
        assert!(resident(Pid::this()).unwrap() > 100_000);
        assert_eq!(resident(Pid::from_raw(i32::MAX)), None);
    }
}
