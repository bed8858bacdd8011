//! How much memory workers have, looked at from time to time.

use std::fs;

use nix::unistd::Pid;

use crate::millis::Millis;

/// Says when to look.
#[derive(Debug)]
pub(crate) struct Schedule(Option<Millis>);

impl Schedule {
    /// Nothing is looked at if there is no cap.
    pub(crate) fn new(wanted: bool, now: Millis) -> Self {
        Self(wanted.then_some(now))
    }

    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.0
    }

    /// Whether it is time to look; the next time is fixed then.
    pub(crate) fn is_due(&mut self, now: Millis) -> bool {
        let due = self.0.is_some_and(|at| at <= now);
        if due {
            self.0 = Some(now.after(EVERY));
        }
        due
    }
}

/// The resident memory of a process in bytes; `None` if it is gone.
pub(crate) fn resident(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Reading costs some microseconds a worker; memory that matters does not grow much faster.
const EVERY: Millis = Millis(1_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_known_as_long_as_it_lives() {
        assert!(resident(Pid::this()).unwrap() > 100_000);
        assert_eq!(resident(Pid::from_raw(i32::MAX)), None);
    }
}
