//! Programs in Java of this package, with Curator's clients at hand.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::ensemble::Release;
use crate::process::Process;
use crate::programs::{package_dir, target_dir};

/// A folder of Java sources, compiled.
pub struct JavaPrograms {
    classes: PathBuf,
    jars: String,
}

impl JavaPrograms {
    /// Compiles all sources in a folder of this package, such as `tests/interop/java`, unless they have been compiled before.
    ///
    /// # Panics
    /// If they cannot be compiled, or Curator's clients are missing; the message tells how to get them.
    #[track_caller]
    pub fn compile(folder: &str) -> Self {
        let curator = target_dir().join("curator");
        assert!(curator.is_dir(), "no Curator in {}: run ci/setup, which fetches it", curator.display());
        let jars =
            [&curator, &Release::V3_9.directory()].map(|dir| dir.join("*").display().to_string()).join(":");
        let sources = sources(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let mut hasher = DefaultHasher::new();
        sources.hash(&mut hasher);
        let classes = curator.join(format!("classes-{:016x}", hasher.finish()));
        if !classes.is_dir() {
            let fresh = tempfile::tempdir_in(&curator)
                .unwrap_or_else(|error| panic!("a temporary directory: {error}"));
            let mut javac = Command::new("javac");
            javac.args(["-nowarn", "-cp", &jars, "-d"]).arg(fresh.path()).args(sources.keys());
            let mut compiler = Process::start(&mut javac);
            assert!(compiler.wait().success(), "{folder} does not compile: {compiler}");
            // Another test may have been first with the same.
            let moved = fs::rename(fresh.path(), &classes);
            assert!(moved.is_ok() || classes.is_dir(), "{}: {moved:?}", classes.display());
        }
        Self { classes, jars }
    }

    /// Returns a command that runs a class.
    pub fn command(&self, class: &str) -> Command {
        self.command_with(&[], class)
    }

    /// Returns a command that runs a class, with options of the JVM.
    pub fn command_with(&self, options: &[String], class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(options);
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
        command.arg(format!("{}:{}", self.classes.display(), self.jars)).arg(class);
        command
    }
}

/// Returns the sources in a folder of this package, with their texts.
fn sources(folder: &str) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut sources = BTreeMap::new();
    for entry in fs::read_dir(package_dir().join(folder))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "java") {
            let text = fs::read(&path)?;
            sources.insert(path, text);
        }
    }
    Ok(sources)
}
