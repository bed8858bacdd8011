//! Figures of another process, from the kernel.

use std::fs;
use std::io::{self, Error};
use std::time::Duration;

/// Returns the CPU time of a process so far, summed over its living threads: the kernel keeps it to the nanosecond for
/// threads only. Measured programs end no threads meanwhile.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let line = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += line.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Returns the resident memory of a process in KiB.
pub fn memory_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| Error::other("no VmRSS"))
}
