//! `envi`: the machine and the user. The keys about Java are there without a value.

use std::fmt::Write;

use crate::report::figures::{Configuration, Environment};

const NOT_KNOWN: &str = "<NA>";

pub(crate) fn answer(config: &Configuration, environment: &Environment) -> String {
    let megabytes = |kibibytes: Option<u64>| Some(format!("{}MB", kibibytes? / 1024));
    let total = megabytes(environment.memory_total);
    let lines = [
        ("zookeeper.version", Some(config.version())),
        ("host.name", environment.host_name.clone()),
        ("java.version", None),
        ("java.vendor", None),
        ("java.home", None),
        ("java.class.path", None),
        ("java.library.path", None),
        ("java.io.tmpdir", Some(environment.temp_dir.display().to_string())),
        ("java.compiler", None),
        ("os.name", Some(environment.os_name.into())),
        ("os.arch", Some(environment.os_arch.into())),
        ("os.version", environment.os_version.clone()),
        ("user.name", environment.user.clone()),
        ("user.home", environment.home.clone()),
        ("user.dir", environment.current_dir.as_ref().map(|dir| dir.display().to_string())),
        ("os.memory.free", megabytes(environment.memory_available)),
        ("os.memory.max", total.clone()),
        ("os.memory.total", total),
    ];
    let mut out = "Environment:\n".to_owned();
    for (key, value) in lines {
        let _ = writeln!(out, "{key}={}", value.as_deref().unwrap_or(NOT_KNOWN));
    }
    out
}
