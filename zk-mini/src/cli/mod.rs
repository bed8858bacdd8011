//! The command line: what can be asked, and how it ends.

mod error;
mod exec;
mod offline;
mod properties;
mod serve;
mod settings;
mod signals;
mod zoo_cfg;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use error::CliError;

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
  zk-mini serve                        a server on 127.0.0.1:2181
  zk-mini serve --listen 127.0.0.1:0   a server on a free port; its address is printed
  zk-mini exec -- pytest               a private server for one run of a test suite

Environment:
  RUST_LOG   what is logged on standard error, for example `debug` or `zk_mini=trace`";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Exec(exec::ExecArgs),
    Dump(offline::DumpArgs),
    Fsck(offline::FsckArgs),
    #[command(name = exec::REPLACE, hide = true)]
    Replace(exec::ReplaceArgs),
}

/// Does what the command line asks.
pub(crate) fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => {
            log("info");
            serve::run(args)
        }
        Command::Exec(args) => {
            // The output is the command's.
            log("warn");
            exec::run(args)
        }
        Command::Dump(args) => {
            log("error");
            offline::dump(&args)
        }
        Command::Fsck(args) => {
            // What is wrong is in the report.
            log("error");
            offline::fsck(&args)
        }
        Command::Replace(args) => exec::replace(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("zk-mini: {error}");
        error.exit_code()
    })
}

/// Logs to standard error: at `level`, or as `RUST_LOG` says.
fn log(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
}

/// Runs a command on a runtime of one thread: the core is behind one lock, and a second thread would wait for it.
fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CliError::Runtime)?.block_on(command)
}
