//! How a command can fail, and with what status.

use std::io;
use std::process::ExitCode;

use crate::zoo_cfg::ConfigError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Server(#[from] zk_mini::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "cannot find the address of {host:?}: {source}; give another name, or an address such as 127.0.0.1:2181"
    )]
    Resolve { host: String, source: io::Error },
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    #[error("the server has ended by a defect, see the log; start it anew")]
    Ended,
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    #[error("{command}: command not found")]
    NotFound { command: String },
    #[error("{command}: cannot be executed: {source}")]
    NotExecutable { command: String, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("cannot start a process, or wait for its end: {0}")]
    Child(io::Error),
}

impl CliError {
    /// The status that the program ends with; 2 for a bad configuration; for a command that
    /// cannot be started, as in a shell.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotFound { .. } => ExitCode::from(127),
            Self::NotExecutable { .. } => ExitCode::from(126),
            // As for options that make no sense.
            Self::Config(_)
            | Self::Resolve { .. }
            | Self::Server(zk_mini::Error::SessionTimeouts { .. } | zk_mini::Error::ZeroTick) => {
                ExitCode::from(2)
            }
            _ => ExitCode::FAILURE,
        }
    }
}
