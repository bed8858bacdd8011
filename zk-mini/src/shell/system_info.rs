//! Figures from the system: disk usage, file descriptors, machine and user. Reading them is slow: hold no lock.

use std::env;
use std::fs;

use crate::report::figures::{DescriptorFigures, DiskFigures, Environment};
use crate::storage::Files;

/// Returns the size of the data directory, if there is one.
pub(crate) fn disk(files: Option<&Files>) -> DiskFigures {
    let Some(files) = files else { return DiskFigures::default() };
    let [data, logs] = files.usage().map(|(dir, bytes)| (dir.to_owned(), bytes));
    DiskFigures { data, logs, last_snapshot: files.last_snapshot() }
}

/// Returns the number of file descriptors of this process.
pub(crate) fn descriptors() -> DescriptorFigures {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let max = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    DescriptorFigures {
        open: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        max: max.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0),
    }
}

/// Returns the machine and the user.
pub(crate) fn environment() -> Environment {
    let file = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let memory = file("/proc/meminfo").unwrap_or_default();
    Environment {
        host_name: file("/proc/sys/kernel/hostname"),
        // Names as Java has them.
        os_name: if cfg!(target_os = "linux") { "Linux" } else { env::consts::OS },
        os_arch: if cfg!(target_arch = "x86_64") { "amd64" } else { env::consts::ARCH },
        os_version: file("/proc/sys/kernel/osrelease"),
        temp_dir: env::temp_dir(),
        current_dir: env::current_dir().ok(),
        user: env::var("USER").ok(),
        home: env::var("HOME").ok(),
        memory_available: kibibytes(&memory, "MemAvailable:"),
        memory_total: kibibytes(&memory, "MemTotal:"),
    }
}

fn kibibytes(memory: &str, key: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
