//! Clients of others see the same on a simulated ensemble and on a real one: a server that goes, a lost quorum, sessions that move,
//! and changes of the members.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod in_c;
mod in_rust;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use integration_tests::ensemble::{RealZooKeeper, Release};
use integration_tests::four_letter;
use integration_tests::process::Process;
use integration_tests::wait::{PATIENCE, eventually};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;
use zk_mini::{Compat, ZkMini};

/// Digest of `super:test`.
const SUPER: &str = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// Three servers, counted from 0.
enum Servers {
    Real(RealZooKeeper),
    Simulated(ZkMini),
}

impl Servers {
    fn real() -> Self {
        let builder = RealZooKeeper::builder().servers(3).release(Release::V3_9);
        let builder = builder.jvm_option("-Dreadonlymode.enabled=true");
        let builder =
            builder.jvm_option(format!("-Dzookeeper.DigestAuthenticationProvider.superDigest={SUPER}"));
        let builder =
            builder.setting("localSessionsEnabled", true).setting("localSessionsUpgradingEnabled", true);
        Self::Real(builder.setting("reconfigEnabled", true).start().unwrap())
    }

    async fn simulated() -> Self {
        let builder = ZkMini::builder().servers(3).compat(Compat::V3_9);
        Self::Simulated(builder.super_digest(SUPER).reconfig_enabled(true).start().await.unwrap())
    }

    fn addr(&self, index: usize) -> SocketAddr {
        match self {
            Self::Real(zk) => zk.addr(index),
            Self::Simulated(zk) => zk.server(index + 1).unwrap().addr().unwrap(),
        }
    }

    /// Returns the connect string.
    fn hosts(&self) -> String {
        (0..3).map(|index| self.addr(index).to_string()).collect::<Vec<_>>().join(",")
    }

    async fn stop(&mut self, index: usize) {
        match self {
            Self::Real(zk) => zk.stop(index),
            Self::Simulated(zk) => zk.server(index + 1).unwrap().stop().await,
        }
    }

    /// Starts a server that was stopped. Returns when those that run serve.
    async fn start(&mut self, index: usize) {
        match self {
            Self::Real(zk) => zk.restart(index).unwrap(),
            Self::Simulated(zk) => zk.server(index + 1).unwrap().start().await.unwrap(),
        }
    }

    /// Leaves the last server alone.
    async fn lose_quorum(&mut self) {
        for index in [0, 1] {
            self.stop(index).await;
        }
        let last = self.addr(2);
        eventually("the last server is read-only", PATIENCE, || {
            four_letter::mode(last).as_deref() == Some("read-only")
        });
    }

    async fn regain_quorum(&mut self) {
        for index in [0, 1] {
            self.start(index).await;
        }
    }

    /// Waits until a server has a connection of the session. Returns it.
    fn serving(&self, session: i64) -> usize {
        let serves = |index: &usize| four_letter::serves_session(self.addr(*index), session);
        let mut found = None;
        eventually("a server has the session", PATIENCE, || {
            found = (0..3).find(serves);
            found.is_some()
        });
        found.unwrap()
    }
}

/// Client that takes commands from its standard input.
struct CommandLine {
    process: Process,
    input: File,
    _dir: TempDir,
}

impl CommandLine {
    /// Starts a program; its two outputs are one. Panics with advice if there is no such program.
    fn start(program: &Path, arguments: &str, advice: &str) -> Self {
        assert!(program.exists(), "{} is missing: {advice}", program.display());
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("commands");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        // Open for both, so that neither end waits for the other.
        let input = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let command = format!("exec '{}' {arguments} <'{}' 2>&1", program.display(), pipe.display());
        let process = Process::start(Command::new("sh").args(["-c", &command]));
        Self { process, input, _dir: dir }
    }

    fn say(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_see_the_same_on_a_simulated_ensemble_as_on_a_real_one() {
    let (mut real, mut simulated) = (Servers::real(), Servers::simulated().await);
    let expected = in_c::scenario(&mut real).await;
    assert_eq!(in_c::scenario(&mut simulated).await, expected);
    let expected = in_rust::scenario(&mut real).await;
    assert_eq!(in_rust::scenario(&mut simulated).await, expected);
}
