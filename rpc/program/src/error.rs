//! Reasons for which a command fails, their exit statuses, and what programs get to read of them.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use rpc_client::{Code, Error, TlsError};
use serde::Serialize;
use serde_json::Value;

/// Failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Rpc(#[from] Error),
    #[error("{0}; see --ca, --cert and --key")]
    Tls(#[from] TlsError),
    #[error("the authorities that the system trusts are not at a usual place; name a file of them with --ca")]
    NoAuthorities,
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
    #[error(
        "{service}.{method} takes a stream of messages, not an argument; give them as lines of standard input"
    )]
    TakesMessages { service: String, method: String },
    #[error("{failing} of {all} addresses of {service} do not serve")]
    Unhealthy { service: String, failing: usize, all: usize },
    #[error("no call of {0} succeeded")]
    NothingSucceeded(u64),
    #[error("stopped in the warm-up, before anything was measured")]
    NothingMeasured,
    #[error("cannot write {}: {source}", .path.display())]
    Page { path: PathBuf, source: io::Error },
}

/// Failure as programs read it, on standard error.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    pub(crate) error: String,
    /// Status code, if a call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_have_been_applied: Option<bool>,
}

impl CliError {
    /// Returns the command that tells a person more.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Rpc(Error::Status { service, status, .. }) if status.code == Code::UNIMPLEMENTED => Some(
                format!("`rpc describe {service}` prints its methods; one with a stream is for `rpc stream`"),
            ),
            Self::Rpc(Error::Status { service, method, status, .. })
                if status.code == Code::INVALID_ARGUMENT =>
            {
                Some(format!("`rpc describe {service} {method}` prints the type of the argument"))
            }
            // Words of rpc-client, which the tests of TLS compare.
            Self::Rpc(Error::Unreachable { reason, .. }) if reason.contains("certificate") => {
                Some("see the options --ca, --cert, --key and --server-name".to_owned())
            }
            Self::Rpc(Error::Unreachable { reason, .. }) if reason.contains("it speaks TLS") => {
                Some("see the option --tls".to_owned())
            }
            Self::Rpc(Error::NoInstances { service } | Error::Unreachable { service, .. }) => {
                Some(format!("`rpc health {service}` asks each instance"))
            }
            _ => None,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Tls(_) | Self::NoAuthorities => ExitCode::from(2),
            Self::Json { .. } | Self::NotAStream { .. } | Self::TakesMessages { .. } => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    pub(crate) fn failure(&self) -> Failure {
        let call = match self {
            Self::Rpc(error) => Some(error),
            _ => None,
        };
        let details = match call {
            Some(Error::Status { status, .. }) => status.details(),
            _ => None,
        };
        Failure {
            error: self.to_string(),
            code: call.map(|error| error.code().to_string()),
            details,
            retryable: call.map(Error::is_retryable),
            may_have_been_applied: call.map(Error::may_have_been_applied),
        }
    }
}

#[cfg(test)]
mod tests {
    use rpc_client::Status;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_call_is_shown_to_programs_with_its_code_and_details() {
        let status = Status::not_found("no coffee").with_details(&json!({"left": 0}));
        let (service, method) = ("shop".to_owned(), "price".to_owned());
        let error = CliError::from(Error::Status { service, method, status, not_run: false });
        let expected = json!({
            "error": "shop.price: NOT_FOUND: no coffee",
            "code": "NOT_FOUND",
            "details": {"left": 0},
            "retryable": false,
            "may_have_been_applied": true,
        });
        assert_eq!(serde_json::to_value(error.failure()).unwrap(), expected);
        let error = CliError::NothingSucceeded(7);
        let expected = json!({"error": "no call of 7 succeeded"});
        assert_eq!(serde_json::to_value(error.failure()).unwrap(), expected);
    }
}
