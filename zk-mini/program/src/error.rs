//! Errors of commands, and the exit status for each.

use std::io;
use std::process::ExitCode;

use nix::sys::signal::Signal;
use zk_mini::TreeFileError;

use crate::access_options::AccessError;
use crate::audit_log::AuditLogError;
use crate::client::ClientError;
use crate::disk_options::DiskError;
use crate::exec::{NoHistory, NoHttp};
use crate::http_options::HttpOptionsError;
use crate::http_ports::HttpError;
use crate::listen::ResolveError;
use crate::load::LoadError;
use crate::pid_file::PidFileError;
use crate::ready_fd::ReadyFdError;
use crate::servers::ServersError;
use crate::tls_options::TlsOptionsError;
use crate::zoo_error::ConfigError;

/// Failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Server(#[from] zk_mini::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Servers(#[from] ServersError),
    #[error(transparent)]
    Tls(#[from] TlsOptionsError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the tree cannot be written as YAML: {0}")]
    Unwritten(#[source] TreeFileError),
    #[error(transparent)]
    AuditLog(#[from] AuditLogError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    HttpOptions(#[from] HttpOptionsError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Environment(#[from] NoHttp),
    #[error(transparent)]
    History(#[from] NoHistory),
    #[error(transparent)]
    ReadyFd(#[from] ReadyFdError),
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    #[error("the server has ended because of a defect, see the log; start it again")]
    Ended,
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    #[error("{command}: command not found")]
    NotFound { command: String },
    #[error("{command}: cannot be executed: {source}")]
    NotExecutable { command: String, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error(transparent)]
    Torture(#[from] zk_mini_torture::Error),
    #[error("cannot read the names of days in {file}: {source}")]
    KnownDays { file: String, source: io::Error },
    #[error("cannot write manual pages to {dir}: {source}")]
    Pages { dir: String, source: io::Error },
    #[error("ended by {0}")]
    Interrupted(Signal),
    #[error("cannot start the command, or wait for its end: {0}")]
    Child(io::Error),
}

impl CliError {
    /// Exit status of the program: 2 for a bad configuration, 127 or 126 for a command that cannot be started, as in a
    /// shell, the client's own for its commands, otherwise 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotFound { .. } => ExitCode::from(127),
            Self::NotExecutable { .. } => ExitCode::from(126),
            Self::Http(error) if !error.is_of_the_options() => ExitCode::FAILURE,
            Self::Load(error) if !error.is_of_the_file() => ExitCode::FAILURE,
            Self::Client(error) => ExitCode::from(error.status()),
            // The status that clap gives to bad options.
            Self::Config(_)
            | Self::Resolve(_)
            | Self::Servers(_)
            | Self::Tls(_)
            | Self::Load(_)
            | Self::HttpOptions(_)
            | Self::Disk(_)
            | Self::Access(_)
            | Self::Http(_)
            | Self::Environment(_)
            | Self::History(_)
            | Self::ReadyFd(_)
            | Self::PidFile(_)
            | Self::Torture(_)
            | Self::KnownDays { .. }
            | Self::Interrupted(_)
            | Self::Server(
                zk_mini::Error::SessionTimeouts { .. }
                | zk_mini::Error::ZeroTick
                | zk_mini::Error::SaslUser { .. }
                | zk_mini::Error::UnknownScheme { .. },
            ) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
