//! `zk-mini exec`: runs a command with a private server.

mod environment;
mod failure;
mod replace;
mod tie;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitCode, ExitStatus};

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use tokio::process::{Child, Command};
use zk_mini::ZkMini;

use crate::access_options::{AccessOptions, AuthSettings};
use crate::block_on;
use crate::disk_options::DiskOptions;
use crate::error::CliError;
use crate::http_options::{Access, HttpOptions};
use crate::listen::Host;
use crate::load::{LoadArgs, Loading};
use crate::number::number;
use crate::own_program::own_program;
use crate::servers::ServersArgs;
use crate::settings::Settings;
use crate::signals::Signals;
use crate::start::{Start, Started};
use crate::tls_options::TlsPlan;
use crate::zoo_http::HttpKeys;

use environment::EnvironmentArgs;
pub(crate) use environment::NoHttp;
pub(crate) use failure::NoHistory;
pub(crate) use replace::{REPLACE, ReplaceArgs, replace};
use tie::Tie;

/// Run a command with a private server, which ends with it
///
/// The server listens on a free port of 127.0.0.1 and ::1. The environment of the
/// command names it: ZK_HOSTS is HOST:PORT, with --servers one for each server, with
/// commas; ZK_HOST and ZK_PORT are the two parts, of the first server;
/// ZK_MINI_HTTP is http://HOST:PORT, for control over HTTP, with the port of --http
/// if there is one. --env sets variables of other names.
///
/// Signals TERM, INT, HUP, QUIT, USR1 and USR2 are forwarded to the command. The
/// status is the command's, or 128+N if signal N ended it; 127 if the command is
/// not found, 126 if it cannot be executed. Before the command runs, while a large data
/// directory is read, they end zk-mini.
///
/// The command does not outlive zk-mini: if zk-mini is killed, even with KILL, so
/// is the command. The command itself must end the processes that it starts:
/// those left in the background go on without a server. The server ends with the
/// command only: SHUTDOWN of ZooKeeper's controller is refused.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    args_override_self = true,
    override_usage = "zk-mini exec [OPTIONS] -- COMMAND [ARGS]..."
)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    environment: EnvironmentArgs,

    #[command(flatten)]
    servers: ServersArgs,

    /// If the command fails, print on standard error what the server has seen last
    ///
    /// The last N entries of the history, 50 unless set: changes, sessions, watch
    /// events, faults and refused requests, each with its client, as `zk-mini tail`
    /// prints them; then the sessions in these lines. Requests without an error are left
    /// out: what they have changed is there. Nothing is printed if the command succeeds.
    /// The status stays the command's.
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = failure::USUAL,
        value_parser = number(1..=10_000),
        verbatim_doc_comment
    )]
    explain_on_failure: Option<u16>,

    #[command(flatten)]
    disk: DiskOptions,

    #[command(flatten)]
    load: LoadArgs,

    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    access: AccessOptions,

    #[command(flatten)]
    http: HttpOptions,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Answer to a request to shut the server down.
const NO_SHUTDOWN: &str = "the server ends with the command of `zk-mini exec`. For the test of a client: POST \
                           /v1/restart closes all connections, /v1/freeze stalls the server, and \
                           /command/REJECTCONNECTIONS refuses new connections";

pub(crate) fn run(mut args: ExecArgs) -> Result<ExitCode, CliError> {
    if args.explain_on_failure.is_some() && args.settings.keeps_no_history() {
        return Err(NoHistory.into());
    }
    args.disk.check(&args.settings)?;
    args.settings.remark_on_memory(args.disk.data_dir.is_some());
    let sasl = std::mem::take(&mut args.access).read(None)?;
    let access = args.http.access()?;
    args.environment.check(access.is_some())?;
    let loading = args.load.read()?;
    // Before the runtime starts: its threads inherit the signal mask.
    Signals::block().map_err(CliError::Signals)?;
    block_on(exec(args, loading, access, sasl))
}

async fn exec(
    args: ExecArgs,
    loading: Option<Loading>,
    access: Option<Access>,
    sasl: AuthSettings,
) -> Result<ExitCode, CliError> {
    let mut signals = Signals::receive().map_err(CliError::Signals)?;
    let servers = args.servers.spread("--listen", vec![Host::Loopback.addrs(0).await?])?;
    let access = access.map(|access| access.refuse_shutdown(NO_SHUTDOWN));
    let tls = TlsPlan::default();
    let start = Start {
        servers,
        observers: args.servers.observers(),
        tls,
        loading,
        access,
        keys: HttpKeys::default(),
    };
    let audit = args.disk.open_audit_log()?;
    let mut builder = sasl.apply(args.disk.apply(args.settings.apply(ZkMini::builder())));
    if let Some(audit) = audit {
        builder = builder.audit(move |record| audit.change(record));
    }
    let mut starting = pin!(start.server(builder));
    let mut early = Vec::new();
    let Started { zk, servers, http, .. } = loop {
        tokio::select! {
            started = &mut starting => break started?,
            // A large data directory takes its time. There is no command yet that a key of the terminal could be meant for.
            received = signals.next() => {
                let signal = received.map_err(CliError::Signals)?.signal;
                Signals::deliver(signal).map_err(CliError::Signals)?;
                early.push(signal);
            }
        }
    };

    // A child inherits blocked signals. So this program starts itself, unblocks them and becomes the command: no signal
    // is lost meanwhile, and none can end this process and leave the command behind.
    let mut command = Command::new(own_program().map_err(CliError::Child)?);
    let parent = getpid().to_string();
    command.args([REPLACE, "--parent", &parent, "--"]).args(&args.command).kill_on_drop(true);
    let firsts: Vec<_> = servers.iter().filter_map(|addrs| addrs.first().copied()).collect();
    if let Some(first) = firsts.first() {
        // A port of --http that the system has chosen is known from nowhere else.
        let url = http.own_url.or(http.url);
        for (name, value) in args.environment.variables(*first, &firsts, url.as_deref()) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }
    let mut child = command.spawn().map_err(CliError::Child)?;
    // Signals that came before the command was there, those of the terminal's keys, too. If the command has got one of them itself,
    // it most likely still blocks it, and two pending signals of one number are one.
    while let Some(received) = signals.take().map_err(CliError::Signals)? {
        early.push(received.signal);
    }
    let tie = Tie::new(&child).map_err(CliError::Child)?;
    early.into_iter().for_each(|signal| forward(&child, signal));
    let status = wait(&mut child, &mut signals).await;
    tie.release().await;
    if let (Ok(status), Some(limit)) = (&status, args.explain_on_failure)
        && !status.success()
    {
        failure::explain(&zk, *status, limit.into());
    }
    zk.stop().await;
    status.map(exit_code).map_err(CliError::Child)
}

/// Waits for the command to end; a signal is forwarded, and the command decides what it means.
async fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        let received = tokio::select! {
            status = child.wait() => return status,
            received = signals.next() => received?,
        };
        // The terminal has sent it to the whole process group, so the command has it already.
        if !received.from_terminal {
            forward(child, received.signal);
        }
    }
}

fn forward(child: &Child, signal: Signal) {
    // The id is there until the command has been reaped, so no other process can be hit.
    if let Some(pid) = child.id() {
        let passed = kill(Pid::from_raw(pid.cast_signed()), signal);
        tracing::debug!(%signal, pid, ?passed, "signal forwarded");
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
