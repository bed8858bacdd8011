//! Records a data directory and the traffic of clients, for later builds: see `ci/compat` and `integration-tests/compat`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use integration_tests::compat::record;

/// Records to a directory that is not there yet.
#[derive(Parser)]
struct Args {
    /// Directory to write, such as integration-tests/compat/0.2.0.
    #[arg(long)]
    record: PathBuf,
}

fn main() -> ExitCode {
    let Args { record: dir } = Args::parse();
    if dir.exists() {
        eprintln!("{} is there already; nothing is recorded", dir.display());
        return ExitCode::FAILURE;
    }
    match record::record(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
