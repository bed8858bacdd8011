//! Prints how a preforked service is: `prefork-status SOCKET`, where SOCKET is its `Options::control`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(path), None) = (args.next(), args.next()) else {
        eprintln!("usage: prefork-status SOCKET");
        return ExitCode::from(2);
    };
    match rpc_prefork::status(&path) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("no service answers at {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
