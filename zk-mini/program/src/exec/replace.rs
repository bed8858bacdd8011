//! Second half of `exec`: the process that becomes the command.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Args;

use super::tie;
use crate::error::CliError;
use crate::signals::Signals;

/// Second half of `exec`, in the process that becomes the command; not for users.
#[derive(Args, Debug)]
pub(crate) struct ReplaceArgs {
    /// Process whose end ends the command
    #[arg(long)]
    parent: i32,

    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(crate) const REPLACE: &str = "replace-process";

/// Becomes the command; returns only if that fails.
pub(crate) fn replace(args: &ReplaceArgs) -> Result<ExitCode, CliError> {
    if !tie::accept(args.parent).map_err(CliError::Child)? {
        return Ok(ExitCode::FAILURE);
    }
    Signals::unblock().map_err(CliError::Signals)?;
    let [program, arguments @ ..] = &args.command[..] else { return Ok(ExitCode::SUCCESS) };
    let source = Command::new(program).args(arguments).exec();
    let command = program.to_string_lossy().into_owned();
    Err(match source.kind() {
        io::ErrorKind::NotFound => CliError::NotFound { command },
        _ => CliError::NotExecutable { command, source },
    })
}
