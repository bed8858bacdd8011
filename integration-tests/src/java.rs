//! Programs in Java of this package, with Curator's clients at hand.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::ensemble::Release;
use crate::process::Process;
use crate::programs::{package_dir, target_dir};

/// A folder of Java sources, compiled for one test.
pub struct JavaPrograms {
    classes: TempDir,
    jars: String,
}

impl JavaPrograms {
    /// Compiles all sources in a folder of this package, such as `tests/interop/java`.
    ///
    /// # Panics
    /// If they cannot be compiled, or Curator's clients are missing; the message tells how to get them.
    #[track_caller]
    pub fn compile(folder: &str) -> Self {
        let curator = target_dir().join("curator");
        assert!(curator.is_dir(), "no Curator in {}: run ci/setup, which fetches it", curator.display());
        let jars =
            [curator, Release::V3_9.directory()].map(|dir| dir.join("*").display().to_string()).join(":");
        let classes = tempfile::tempdir().unwrap_or_else(|error| panic!("a temporary directory: {error}"));
        let sources =
            fs::read_dir(package_dir().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let sources = sources.flatten().map(|entry| entry.path());
        let mut javac = Command::new("javac");
        javac.args(["-nowarn", "-cp", &jars, "-d"]).arg(classes.path());
        javac.args(sources.filter(|path| path.extension().is_some_and(|end| end == "java")));
        let mut compiler = Process::start(&mut javac);
        assert!(compiler.wait().success(), "{folder} does not compile: {compiler}");
        Self { classes, jars }
    }

    /// Returns a command that runs a class. It must not outlive this value, which removes what was compiled.
    pub fn command(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
        command.arg(format!("{}:{}", self.classes.path().display(), self.jars)).arg(class);
        command
    }
}
