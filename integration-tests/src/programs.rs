//! Programs that the tests run: our own binaries, Python with kazoo, the scripts of the tutorial.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::process::Process;

/// Returns a command for the `zk-mini` binary.
///
/// # Panics
/// If the binary is missing or older than its sources: for a test, cargo builds no program of another package.
#[track_caller]
pub fn zk_mini() -> Command {
    let binary = profile_dir().join("zk-mini");
    let built = fs::metadata(&binary).and_then(|metadata| metadata.modified()).ok();
    let sources = [
        "../zk-mini/src",
        "../zk-mini/program/src",
        "../zk-mini/http/src",
        "../zk-mini/torture/src",
        "../zk-mini/wire/src",
        "../zk-mini/common/src",
        "../registry/client/src",
    ]
    .map(|dir| newest(&package_dir().join(dir)));
    let is_current = built.is_some_and(|built| sources.into_iter().flatten().all(|source| source <= built));
    assert!(is_current, "{} is missing or out of date: run cargo build --workspace", binary.display());
    Command::new(binary)
}

/// A running `zk-mini serve`.
pub struct ServeProcess {
    /// The process itself.
    pub process: Process,
    addr: SocketAddr,
}

impl ServeProcess {
    /// Starts it on a free port of loopback. Returns when it serves.
    ///
    /// # Panics
    /// If it does not start to serve.
    #[track_caller]
    pub fn start() -> Self {
        // Short ticks, so that a silent session expires while a test waits.
        Self::with_args(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--tick-ms",
            "200",
            "--max-session-timeout-ms",
            "60000",
        ])
    }

    /// Starts it with other arguments. Returns when it serves.
    ///
    /// # Panics
    /// If it does not start to serve.
    #[track_caller]
    pub fn with_args(args: &[&str]) -> Self {
        let mut process = Process::start(zk_mini().args(args));
        let line = process.line_with("listening on ");
        let addr = line.strip_prefix("listening on ").and_then(|addr| addr.parse().ok());
        let addr = addr.unwrap_or_else(|| panic!("not a listening line: {line:?}"));
        Self { process, addr }
    }

    /// Returns the address for clients.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Returns a command for a Python script of this package, such as `torture/kazoo_recipe.py`, with a Python that has kazoo.
///
/// # Panics
/// If there is no such Python; the message tells how to get one.
pub fn python(script: &str) -> Command {
    let mut command = Command::new(python_with_kazoo());
    command.arg("-u").arg(package_dir().join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Returns a command for a Python script of the book's tutorial, such as `producer.py`.
///
/// # Panics
/// If there is no Python with kazoo; the message tells how to get one.
pub fn tutorial(script: &str) -> Command {
    python(&format!("../docs/code/{script}"))
}

/// Returns the directory of this package, with the scripts.
pub fn package_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the time of the last change below a directory.
fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let changed = entries.filter_map(|entry| match entry.metadata().ok()? {
        metadata if metadata.is_dir() => newest(&entry.path()),
        metadata => metadata.modified().ok(),
    });
    changed.max()
}

/// Returns the directory that cargo builds in and `ci/setup` installs to.
pub fn target_dir() -> PathBuf {
    let profile = profile_dir();
    profile.parent().unwrap_or(&profile).into()
}

/// Returns `target/debug` for the test `target/debug/deps/NAME-HASH`, and for an example.
fn profile_dir() -> PathBuf {
    let test = env::current_exe().unwrap_or_else(|error| panic!("this test's own path: {error}"));
    test.ancestors().nth(2).unwrap_or(&test).into()
}

fn python_with_kazoo() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let installed = Some(target_dir().join("kazoo/bin/python3"));
        let named = env::var_os("KAZOO_PYTHON").map(PathBuf::from);
        let candidates = [named, installed, Some("python3".into())];
        let found = candidates.into_iter().flatten().find(|python| has_kazoo(python));
        found.unwrap_or_else(|| {
            panic!(
                "no Python with kazoo: run ci/setup, which installs it under the target directory, \
                 or set KAZOO_PYTHON to a python3 that can import kazoo"
            )
        })
    })
}

fn has_kazoo(python: &Path) -> bool {
    let import = Command::new(python).args(["-c", "import kazoo"]).output();
    import.is_ok_and(|output| output.status.success())
}
