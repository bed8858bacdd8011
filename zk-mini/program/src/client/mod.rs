//! The client: commands that read and write a running server, zk-mini or any ZooKeeper ensemble.

mod acl;
mod create;
mod error;
mod explain;
mod get;
mod http;
mod input;
mod ls;
mod node;
mod output;
mod parse;
mod rm;
mod session;
mod set;
mod stat;
mod tail;
mod time;
mod walk;
mod watch;

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use error::ClientError;

/// Commands of the client.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    Ls(ls::LsArgs),
    Get(get::GetArgs),
    Set(set::SetArgs),
    Create(create::CreateArgs),
    Rm(rm::RmArgs),
    Stat(stat::StatArgs),
    Watch(watch::WatchArgs),
    Acl(acl::AclArgs),
    Explain(explain::ExplainArgs),
    Tail(tail::TailArgs),
}

impl ClientCommand {
    pub(crate) fn run(&self) -> Result<ExitCode, ClientError> {
        let done = match self {
            Self::Ls(args) => ls::run(args),
            Self::Get(args) => get::run(args),
            Self::Set(args) => set::run(args),
            Self::Create(args) => create::run(args),
            Self::Rm(args) => rm::run(args),
            Self::Stat(args) => stat::run(args),
            Self::Watch(args) => watch::run(args),
            Self::Acl(args) => acl::run(args),
            Self::Explain(args) => explain::run(args),
            Self::Tail(args) => tail::run(args),
        };
        match done {
            // The reader has seen enough, as `head` does.
            Err(ClientError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(ExitCode::SUCCESS)
            }
            done => done.map(|()| ExitCode::SUCCESS),
        }
    }
}
