//! The program `zk-mini`: see `zk-mini --help`.
#![forbid(unsafe_code)]

mod dump;
mod error;
mod exec;
mod listen;
mod log;
mod offline;
mod properties;
mod serve;
mod settings;
mod signals;
mod zoo_cfg;
mod zoo_keys;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;
use log::Log;

/// A small ZooKeeper server, for tests, for development, for one machine.
///
/// It speaks ZooKeeper's client protocol: any ZooKeeper client connects to it.
/// It is ready within milliseconds, needs no configuration, and keeps
/// everything in memory unless it is given a data directory.
#[derive(Debug, Parser)]
#[command(name = "zk-mini", version, verbatim_doc_comment, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  zk-mini serve                        a server on 127.0.0.1:2181, and on [::1]:2181
  zk-mini serve --port 0               a server on a free port; its address is printed
  zk-mini exec -- pytest               a private server for one run of a test suite

Environment:
  RUST_LOG   what is logged on standard error: error, warn, info (for `serve`, unless
             set: sessions that begin and end, refused clients), debug (each request),
             trace (each frame); or by module, as in `zk_mini=debug`. Below debug, one
             address causes 60 lines a minute at most, and a line says how many more
             there were. Lines that nobody takes are lost: the server does not wait.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Exec(exec::ExecArgs),
    Dump(dump::DumpArgs),
    Fsck(offline::FsckArgs),
    #[command(name = exec::REPLACE, hide = true)]
    Replace(exec::ReplaceArgs),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if let Command::Replace(args) = command {
        // No thread: what comes next is another program.
        return exec::replace(&args).unwrap_or_else(|error| {
            let _ = writeln!(io::stderr(), "zk-mini: {error}");
            error.exit_code()
        });
    }
    let log = match Log::start() {
        Ok(log) => log,
        Err(error) => {
            let _ = writeln!(io::stderr(), "zk-mini: {}", CliError::Runtime(error));
            return ExitCode::FAILURE;
        }
    };
    log.receive(command.log_level());
    let done = match command {
        Command::Serve(args) => serve::run(args),
        Command::Exec(args) => exec::run(args),
        Command::Dump(args) => dump::dump(&args),
        Command::Fsck(args) => offline::fsck(&args),
        Command::Replace(args) => exec::replace(&args),
    };
    let code = done.unwrap_or_else(|error| {
        log.line(&format!("zk-mini: {error}"));
        error.exit_code()
    });
    log.finish();
    code
}

impl Command {
    /// Level of the log unless `RUST_LOG` sets another.
    fn log_level(&self) -> &'static str {
        match self {
            Self::Serve(_) => "info",
            // The output is the command's.
            Self::Exec(_) | Self::Replace(_) => "warn",
            // What is wrong is in the report.
            Self::Dump(_) | Self::Fsck(_) => "error",
        }
    }
}

/// Runs a command on a runtime of one thread: the core is behind one lock, and a second thread would wait for it.
fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CliError::Runtime)?.block_on(command)
}
