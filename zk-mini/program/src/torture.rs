//! `zk-mini torture`: plays bad days to a registry, a lock or an election.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use nix::unistd::getpid;
use zk_mini_torture::{Report, Torture, Verdict, days};

use crate::block_on;
use crate::error::CliError;
use crate::exec::REPLACE;
use crate::own_program::own_program;
use crate::signals::Signals;

/// Play bad days to a registry, a lock or an election, and report its bugs
///
/// COMMAND is started as one process of a service under test, in the role that its
/// environment names, with a server of its own for each day. It says what it
/// believes: one line of JSON a change on its standard output. README.md of the
/// crate zk-mini-torture has the contract, on a page, and a client in Python.
///
/// The status is 0 if there is no bug, 1 if there is one, 2 if the command could
/// not be judged. Advice alone is no bug. With --expect it is 0 if exactly the
/// listed days failed.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, override_usage = "zk-mini torture [OPTIONS] -- COMMAND [ARGS]...")]
pub(crate) struct TortureArgs {
    /// Print the days, and what each requires
    #[arg(long)]
    list: bool,

    /// Play this day only; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// File with the names of the days that are known to fail, one a line; # begins a comment
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    /// Number of days that are played at a time
    #[arg(long, value_name = "NUMBER", default_value = "16")]
    at_a_time: NonZeroUsize,

    /// Seconds that a process may take to start and to be ready
    #[arg(long, value_name = "SECONDS", default_value = "20")]
    ready_limit: u32,

    /// The command and its arguments
    #[arg(required_unless_present = "list", trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Status if the command could not be judged.
const NOT_JUDGED: u8 = 2;

pub(crate) fn run(args: &TortureArgs) -> Result<ExitCode, CliError> {
    if args.list {
        return print(&list()).map(|()| ExitCode::SUCCESS);
    }
    let known = args.expect.as_deref().map(known_days).transpose()?;
    // Before the runtime starts: its threads inherit the signal mask.
    Signals::block().map_err(CliError::Signals)?;
    let report = block_on(torture(args, known.clone().unwrap_or_default()))?;
    print(&if args.json { report.to_json() } else { report.to_string() })?;
    status(&report, known.as_ref())
}

async fn torture(args: &TortureArgs, known: BTreeSet<String>) -> Result<Report, CliError> {
    let mut signals = Signals::receive().map_err(CliError::Signals)?;
    // As in `exec`: unblocks the signals, and ties each process to this one.
    let parent = getpid().to_string();
    let wrapper = [REPLACE, "--parent", &parent, "--"].map(OsString::from);
    let command = [own_program().map_err(CliError::Child)?]
        .into_iter()
        .chain(wrapper)
        .chain(args.command.iter().cloned());
    let torture = Torture::new(command).only(args.only.clone()).known(known).at_a_time(args.at_a_time);
    let torture = torture.ready_limit(Duration::from_secs(args.ready_limit.into()));
    tokio::select! {
        report = torture.run() => Ok(report?),
        // The processes are killed with the run.
        received = signals.next() => Err(match received {
            Ok(received) => CliError::Interrupted(received.signal),
            Err(error) => CliError::Signals(error),
        }),
    }
}

fn status(report: &Report, known: Option<&BTreeSet<String>>) -> Result<ExitCode, CliError> {
    let is_judged = report.named(Verdict::NotRun).next().is_none()
        && report.findings.iter().any(|finding| matches!(finding.verdict, Verdict::Clean | Verdict::Failed));
    let is_good = match known {
        None => report.bugs().is_empty(),
        Some(known) => {
            let surprises = report.compare(known);
            if !surprises.is_empty() {
                writeln!(io::stderr(), "{surprises}").map_err(CliError::Output)?;
            }
            surprises.is_empty()
        }
    };
    Ok(match (is_good, is_judged) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(NOT_JUDGED),
        (true, true) => ExitCode::SUCCESS,
    })
}

fn list() -> String {
    let day = |day: &&zk_mini_torture::Day| {
        format!(
            "{} ({}, {})\n  played    {}\n  required  {}\n  in life   {}",
            day.name, day.role, day.severity, day.plays, day.requires, day.why
        )
    };
    days().iter().map(day).collect::<Vec<_>>().join("\n\n")
}

fn known_days(file: &Path) -> Result<BTreeSet<String>, CliError> {
    let text = fs::read_to_string(file)
        .map_err(|source| CliError::KnownDays { file: file.display().to_string(), source })?;
    let names = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(names.filter(|name| !name.is_empty()).map(String::from).collect())
}

fn print(text: &str) -> Result<(), CliError> {
    writeln!(io::stdout(), "{text}").map_err(CliError::Output)
}
