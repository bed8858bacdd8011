//! The program `rpc`: see `rpc --help`.
#![forbid(unsafe_code)]

mod call;
mod completions;
mod describe;
mod error;
mod health;
mod list;
mod load;
mod output;
mod parse;
mod reflect;
mod service;
mod stream;
mod table;
mod tls;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use error::CliError;
use output::{Json, shown_whole};

/// Look at RPC services, call them, and load them.
///
/// Services are found in a registry, which is zk-mini or any ZooKeeper ensemble, or
/// at an address. Arguments and results are JSON.
#[derive(Debug, Parser)]
#[command(name = "rpc", version, verbatim_doc_comment, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  rpc list                               services in the registry at $ZK_HOSTS or 127.0.0.1:2181
  rpc list shop                          instances of one of them
  rpc describe shop                      its methods
  rpc call shop price '{\"item\":\"tea\"}'   a call of one method
  rpc stream shop orders '\"today\"'       the messages of a stream, one a line
  rpc watch shop                         instances that come and go
  rpc health shop                        the health of each instance
  rpc load shop price '\"tea\"' -c 64      as many calls as 64 callers can make
  rpc call shop price '\"tea\"' --addr 127.0.0.1:8080    without a registry

Exit status:
  0  success
  1  the call failed, the service is not there or not healthy
  2  the command line is wrong

With --json a failure is a line of JSON on standard error, too: what went wrong, the
status code, and if the call may have run.";

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Describe(describe::DescribeArgs),
    Call(call::CallArgs),
    Stream(stream::StreamArgs),
    Watch(watch::WatchArgs),
    Health(health::HealthArgs),
    Load(load::LoadArgs),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

impl Command {
    /// Returns true if a program reads what is printed.
    fn json(&self) -> bool {
        match self {
            Self::List(args) => args.registry.json,
            Self::Describe(args) => args.service.registry.json,
            Self::Call(args) => args.service.registry.json,
            Self::Stream(args) => args.service.registry.json,
            Self::Watch(args) => args.registry.json,
            Self::Health(args) => args.service.registry.json,
            Self::Load(args) => args.service.registry.json,
            Self::Completions(_) | Self::Man(_) => false,
        }
    }

    fn run(&self) -> Result<(), CliError> {
        match self {
            Self::List(args) => list::run(args),
            Self::Describe(args) => describe::run(args),
            Self::Call(args) => call::run(args),
            Self::Stream(args) => stream::run(args),
            Self::Watch(args) => watch::run(args),
            Self::Health(args) => health::run(args),
            Self::Load(args) => load::run(args),
            Self::Completions(args) => completions::completions(args, Cli::command()),
            Self::Man(args) => completions::man(args, Cli::command()),
        }
    }
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    match command.run() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough, as `head` does.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = if command.json() {
                writeln!(io::stderr(), "{}", Json(&error.failure()))
            } else {
                let hint = error.hint().map(|hint| format!("\n  {hint}")).unwrap_or_default();
                writeln!(io::stderr(), "rpc: {}{hint}", shown_whole(&error.to_string()))
            };
            error.exit_code()
        }
    }
}
