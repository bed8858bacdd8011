//! Prints the status of a preforked service: `prefork-status SOCKET`, where SOCKET is its `Options::control`.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(path), None) = (args.next(), args.next()) else {
        complain("usage: prefork-status SOCKET");
        return ExitCode::from(2);
    };
    let printed = match rpc_prefork::status(&path) {
        Ok(text) => io::stdout().write_all(text.as_bytes()),
        Err(error) => {
            complain(&format!("no service answers at {}: {error}", path.display()));
            return ExitCode::FAILURE;
        }
    };
    // A closed standard output leaves only the exit status.
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
