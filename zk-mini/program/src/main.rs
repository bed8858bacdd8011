//! The program `zk-mini`: see `zk-mini --help`.
#![forbid(unsafe_code)]

mod access_options;
mod audit_log;
mod client;
mod completions;
mod disk_options;
mod dump;
mod error;
mod exec;
mod http_options;
mod http_ports;
mod jaas;
mod listen;
mod load;
mod log;
#[cfg(not(feature = "tls"))]
mod no_tls;
mod notify;
mod number;
mod offline;
mod own_program;
mod pid_file;
mod properties;
mod ready;
mod ready_fd;
mod serve;
mod servers;
mod settings;
mod signals;
mod start;
mod stop;
#[cfg(feature = "tls")]
mod tls_dev;
#[cfg(feature = "tls")]
mod tls_options;
mod torture;
mod zoo_access;
mod zoo_cfg;
mod zoo_error;
mod zoo_http;
mod zoo_keys;
mod zoo_servers;
mod zoo_throttle;
#[cfg(feature = "tls")]
mod zoo_tls;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use client::ClientCommand;
use error::CliError;
use log::Log;
#[cfg(not(feature = "tls"))]
use no_tls::{self as tls_options, self as zoo_tls};

/// A small ZooKeeper server for tests, for development, for one machine.
///
/// Any ZooKeeper client can connect to it. It is ready within milliseconds, needs
/// no configuration, and keeps everything in memory unless it is given a data
/// directory.
#[derive(Debug, Parser)]
#[command(name = "zk-mini", version, verbatim_doc_comment, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  zk-mini serve                        a server on 127.0.0.1:2181 and [::1]:2181, and a page
                                       that shows what is in it: http://localhost:2181/
  zk-mini serve --port 0               a server on a free port, which is printed
  zk-mini exec -- pytest               a private server for one run of a test suite
  zk-mini torture -- ./my-registry     the bad days of ZooKeeper, and the bugs that they show
  zk-mini ls -r /                      all nodes of the server at $ZK_HOSTS or 127.0.0.1:2181
  zk-mini get -s zk1:2181/app /config  a node of any ZooKeeper ensemble

Environment:
  RUST_LOG   level of the log on standard error: error, warn, info (default of `serve`:
             sessions that begin and end, refused clients), debug (each request), trace
             (each frame); or by module, as in `zk_mini=debug`. Below debug, one address
             causes at most 60 lines a minute; the number of further ones is logged. If
             standard error is not read, lines are lost: the server does not wait.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Exec(exec::ExecArgs),
    Dump(dump::DumpArgs),
    Fsck(offline::FsckArgs),
    Torture(torture::TortureArgs),
    #[command(flatten)]
    Client(ClientCommand),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
    #[command(name = exec::REPLACE, hide = true)]
    Replace(exec::ReplaceArgs),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if let Command::Replace(args) = command {
        // This process is about to become another program: no thread may run.
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
        Command::Torture(args) => torture::run(&args),
        Command::Client(command) => command.run().map_err(CliError::from),
        Command::Completions(args) => completions::completions(&args, &Cli::command()),
        Command::Man(args) => completions::man(&args, &Cli::command()),
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
    /// Default level of the log, without `RUST_LOG`.
    fn log_level(&self) -> LevelFilter {
        match self {
            Self::Serve(_) => LevelFilter::INFO,
            // Standard error belongs to the command.
            Self::Exec(_) | Self::Replace(_) => LevelFilter::WARN,
            // The report has it all.
            Self::Dump(_) | Self::Fsck(_) | Self::Torture(_) => LevelFilter::ERROR,
            // It says itself what matters.
            Self::Client(_) | Self::Completions(_) | Self::Man(_) => LevelFilter::ERROR,
        }
    }
}

/// Runs a command on a runtime of one thread: the core is behind one lock, so a second thread would only wait.
fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CliError::Runtime)?.block_on(command)
}
