//! `envi`: what the server runs on. There is no Java: its keys are there, and say so.

use std::env;
use std::fmt::Write;
use std::fs;

use super::{About, version};

const NOT_KNOWN: &str = "<NA>";

pub(super) fn answer(about: &About) -> String {
    let file = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let variable = |name: &str| env::var(name).ok();
    let memory = file("/proc/meminfo").unwrap_or_default();
    let megabytes = |key: &str| Some(format!("{}MB", kilobytes(&memory, key)? / 1024));
    let dir = |dir: Option<std::path::PathBuf>| dir.map(|dir| dir.display().to_string());
    let total = megabytes("MemTotal:");
    let lines = [
        ("zookeeper.version", Some(version(about))),
        ("host.name", file("/proc/sys/kernel/hostname")),
        ("java.version", None),
        ("java.vendor", None),
        ("java.home", None),
        ("java.class.path", None),
        ("java.library.path", None),
        ("java.io.tmpdir", dir(Some(env::temp_dir()))),
        ("java.compiler", None),
        ("os.name", Some(if cfg!(target_os = "linux") { "Linux" } else { env::consts::OS }.to_owned())),
        ("os.arch", Some(if cfg!(target_arch = "x86_64") { "amd64" } else { env::consts::ARCH }.to_owned())),
        ("os.version", file("/proc/sys/kernel/osrelease")),
        ("user.name", variable("USER")),
        ("user.home", variable("HOME")),
        ("user.dir", dir(env::current_dir().ok())),
        ("os.memory.free", megabytes("MemAvailable:")),
        ("os.memory.max", total.clone()),
        ("os.memory.total", total),
    ];
    let mut out = "Environment:\n".to_owned();
    for (key, value) in lines {
        let _ = writeln!(out, "{key}={}", value.as_deref().unwrap_or(NOT_KNOWN));
    }
    out
}

fn kilobytes(memory: &str, key: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
