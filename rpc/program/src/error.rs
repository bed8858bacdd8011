//! Reasons for which a command fails, and their exit statuses.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Rpc(#[from] rpc_client::Error),
    #[error("{what} is no JSON: {source}; a text needs quotes of its own, as in '\"tea\"'")]
    Json { what: &'static str, source: serde_json::Error },
    #[error("standard input: {0}")]
    Input(io::Error),
    #[error("standard output: {0}")]
    Output(io::Error),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error("{0} is not in the registry; `rpc list` prints what is")]
    NoService(String),
    #[error("{service} has no method {method}; it has {known}")]
    NoMethod { service: String, method: String, known: String },
    #[error("{service}.{method} is no stream; use `rpc call`")]
    NotAStream { service: String, method: String },
    #[error("{failing} of {all} instances of {service} do not serve")]
    Unhealthy { service: String, failing: usize, all: usize },
    #[error("no call of {0} succeeded")]
    NothingSucceeded(u64),
    #[error("cannot write {}: {source}", .path.display())]
    Page { path: PathBuf, source: io::Error },
}

impl CliError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Json { .. } | Self::NotAStream { .. } => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
