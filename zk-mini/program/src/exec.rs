//! `zk-mini exec`: runs a command with a private server.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitCode, ExitStatus};

use clap::Args;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};
use tokio::process::{Child, Command};
use zk_mini::ZkMini;

use crate::block_on;
use crate::error::CliError;
use crate::http_options::{Access, HttpOptions};
use crate::listen::Host;
use crate::load::{LoadArgs, Loading};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::start::{Start, Started};
use crate::zoo_http::HttpKeys;

/// Run a command with a private server, which ends with it
///
/// The server listens on a free port of 127.0.0.1 and ::1. The environment of the
/// command names it: ZK_HOSTS is HOST:PORT, ZK_HOST and ZK_PORT are the two parts;
/// ZK_MINI_HTTP is http://HOST:PORT, for control over HTTP.
///
/// Signals TERM, INT, HUP, QUIT, USR1 and USR2 are forwarded to the command. The
/// status is the command's, or 128+N if signal N ended it; 127 if the command is
/// not found, 126 if it cannot be executed.
///
/// The command does not outlive zk-mini: if zk-mini is killed, even with KILL, so
/// is the command. The command itself must end the processes that it starts:
/// those left in the background go on without a server.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, override_usage = "zk-mini exec [OPTIONS] -- COMMAND [ARGS]...")]
pub(crate) struct ExecArgs {
    /// Further environment variable that is set to the port; may be repeated
    #[arg(long, value_name = "NAME", value_parser = variable_name)]
    port_env: Vec<String>,

    #[command(flatten)]
    load: LoadArgs,

    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    http: HttpOptions,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Second half of `exec`, in the process that becomes the command; not for users.
#[derive(Args, Debug)]
pub(crate) struct ReplaceArgs {
    /// Process whose end ends the command
    #[arg(long)]
    parent: i32,

    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Variable with the URL of the server's HTTP side.
const HTTP: &str = "ZK_MINI_HTTP";

pub(crate) const REPLACE: &str = "replace-process";

pub(crate) fn run(args: ExecArgs) -> Result<ExitCode, CliError> {
    let loading = args.load.read()?;
    let access = args.http.access()?;
    // Before the runtime starts: its threads inherit the signal mask.
    Signals::block().map_err(CliError::Signals)?;
    block_on(exec(args, loading, access))
}

async fn exec(
    args: ExecArgs,
    loading: Option<Loading>,
    access: Option<Access>,
) -> Result<ExitCode, CliError> {
    let mut signals = Signals::receive().map_err(CliError::Signals)?;
    let addrs = Host::Loopback.addrs(0).await?;
    let start = Start { addrs, loading, access, keys: HttpKeys::default() };
    let Started { zk, http, .. } = start.server(args.settings.apply(ZkMini::builder())).await?;

    // A child inherits blocked signals. So this program starts itself, unblocks them and becomes the command: no signal
    // is lost meanwhile, and none can end this process and leave the command behind.
    let mut command = Command::new("/proc/self/exe");
    let parent = getpid().to_string();
    command.args([REPLACE, "--parent", &parent, "--"]).args(&args.command).kill_on_drop(true);
    if let Some(addr) = zk.addr() {
        set_environment(&mut command, addr, &args.port_env);
    }
    match http.url {
        Some(url) => command.env(HTTP, url),
        // Around this program there may be another server, which is not meant.
        None => command.env_remove(HTTP),
    };
    let mut child = command.spawn().map_err(CliError::Child)?;
    let status = wait(&mut child, &mut signals).await;
    zk.stop().await;
    status.map(exit_code).map_err(CliError::Child)
}

/// Becomes the command; returns only if that fails.
pub(crate) fn replace(args: &ReplaceArgs) -> Result<ExitCode, CliError> {
    // The setting survives exec. The parent may have been killed before it was made.
    set_pdeathsig(Signal::SIGKILL).map_err(|errno| CliError::Child(errno.into()))?;
    if getppid().as_raw() != args.parent {
        return Ok(ExitCode::FAILURE);
    }
    Signals::unblock().map_err(CliError::Signals)?;
    let [program, arguments @ ..] = &args.command[..] else { return Ok(ExitCode::SUCCESS) };
    let source = std::process::Command::new(program).args(arguments).exec();
    let command = program.to_string_lossy().into_owned();
    Err(match source.kind() {
        io::ErrorKind::NotFound => CliError::NotFound { command },
        _ => CliError::NotExecutable { command, source },
    })
}

fn set_environment(command: &mut Command, addr: SocketAddr, port_env: &[String]) {
    let port = addr.port().to_string();
    command.env("ZK_HOSTS", addr.to_string()).env("ZK_HOST", addr.ip().to_string()).env("ZK_PORT", &port);
    command.envs(port_env.iter().map(|name| (name, &port)));
}

/// Waits for the command to end; a signal is forwarded, and the command decides what it means.
async fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        let received = tokio::select! {
            status = child.wait() => return status,
            received = signals.next() => received?,
        };
        // The terminal has sent it to the whole process group, so the command has it already.
        if received.from_terminal {
            continue;
        }
        // The id is there until the command has been reaped, so no other process can be hit.
        if let Some(pid) = child.id() {
            let passed = kill(Pid::from_raw(pid.cast_signed()), received.signal);
            tracing::debug!(signal = %received.signal, pid, ?passed, "signal forwarded");
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn variable_name(name: &str) -> Result<String, &'static str> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("not the name of an environment variable");
    }
    Ok(name.into())
}
