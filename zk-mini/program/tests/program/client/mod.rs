//! The commands of the client, on `zk-mini serve`.

mod completions;
mod errors;
mod follow;
mod history;
mod no_zk_mini;
mod nodes;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::Program;

/// Server of a test, and the commands on it.
struct Server {
    process: Program,
    address: String,
}

impl Server {
    fn start() -> Self {
        Self::with(&[])
    }

    /// Starts it with further options.
    fn with(options: &[&str]) -> Self {
        let process = Program::start(&[&["serve", "--listen", "127.0.0.1:0"], options].concat());
        let address = process.address();
        Self { process, address }
    }

    /// Stops it, and starts another one at its address, with an empty tree.
    fn restart(&mut self) {
        self.process.signal(Signal::SIGTERM);
        assert_eq!(self.process.line(), None);
        self.process = Program::start(&["serve", "--listen", &self.address]);
        assert_eq!(self.process.address(), self.address);
    }

    /// Returns a command, with the server in its environment.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(args);
        command.env("ZK_HOSTS", &self.address);
        command
    }

    /// Runs a command that succeeds, and returns its standard output.
    #[track_caller]
    fn run(&self, args: &[&str]) -> String {
        String::from_utf8(self.bytes(args)).unwrap()
    }

    #[track_caller]
    fn bytes(&self, args: &[&str]) -> Vec<u8> {
        let output = self.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        output.stdout
    }

    /// Runs a command with `--json` that succeeds.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let text = self.run(&[args, &["--json"]].concat());
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Runs a command that fails, and returns its status and what it says.
    #[track_caller]
    fn fail(&self, args: &[&str]) -> (i32, String) {
        failure(self.command(args).output().unwrap())
    }

    /// Runs a command that reads these bytes from standard input.
    #[track_caller]
    fn with_input(&self, args: &[&str], input: &[u8]) {
        let mut child = self.command(args).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}");
    }

    /// Starts a command that goes on.
    fn start_command(&self, args: &[&str]) -> Program {
        let mut command = self.command(args);
        command.stderr(Stdio::piped());
        Program::spawn(command)
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zk-mini"));
    command.args(args).stdin(Stdio::null());
    for variable in ["ZK_HOSTS", "ZK_AUTH", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

#[track_caller]
fn failure(output: Output) -> (i32, String) {
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().expect("a status"), String::from_utf8(output.stderr).unwrap())
}
