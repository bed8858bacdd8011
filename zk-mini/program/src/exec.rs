//! `zk-mini exec`: a private server around a command.

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
use crate::listen::{self, Host};
use crate::settings::Settings;
use crate::signals::Signals;

/// Run a command with a private server, which ends with it
///
/// The server listens on a free port of 127.0.0.1 and ::1. The command finds it in its
/// environment: ZK_HOST and ZK_PORT, and both as HOST:PORT in ZK_HOSTS.
///
/// The signals TERM, INT, HUP, QUIT, USR1 and USR2 are passed on to the command.
/// The status is the command's, or 128+N if signal N ended it; 127 if there is no
/// such command, 126 if it cannot be executed.
///
/// The command does not outlive zk-mini: if that is killed, even with KILL, the
/// command is killed, too. What the command has started itself is for the command to
/// end: processes that it leaves in the background go on, without a server.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, override_usage = "zk-mini exec [OPTIONS] -- COMMAND [ARGS]...")]
pub(crate) struct ExecArgs {
    /// Another variable that is to hold the port; may be repeated
    #[arg(long, value_name = "NAME", value_parser = variable_name)]
    port_env: Vec<String>,

    #[command(flatten)]
    settings: Settings,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Not for users: the second half of `exec`, in the process that becomes the command.
#[derive(Args, Debug)]
pub(crate) struct ReplaceArgs {
    /// The process that the command ends with
    #[arg(long)]
    parent: i32,

    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(crate) const REPLACE: &str = "replace-process";

pub(crate) fn run(args: ExecArgs) -> Result<ExitCode, CliError> {
    // Before the runtime starts: its threads inherit what is blocked.
    Signals::block().map_err(CliError::Signals)?;
    block_on(exec(args))
}

async fn exec(args: ExecArgs) -> Result<ExitCode, CliError> {
    let mut signals = Signals::receive().map_err(CliError::Signals)?;
    let addrs = Host::Loopback.addrs(0).await?;
    let zk = listen::on(args.settings.apply(ZkMini::builder()), &addrs).start().await?;

    // A child inherits what is blocked. So it is this program that starts, lets the signals through, and becomes the
    // command: at no time can one get lost, or end this process and leave the command behind.
    let mut command = Command::new("/proc/self/exe");
    let parent = getpid().to_string();
    command.args([REPLACE, "--parent", &parent, "--"]).args(&args.command).kill_on_drop(true);
    if let Some(addr) = zk.addr() {
        set_environment(&mut command, addr, &args.port_env);
    }
    let mut child = command.spawn().map_err(CliError::Child)?;
    let status = wait(&mut child, &mut signals).await;
    zk.stop().await;
    status.map(exit_code).map_err(CliError::Child)
}

/// Becomes the command; comes back only if that fails.
pub(crate) fn replace(args: &ReplaceArgs) -> Result<ExitCode, CliError> {
    // Holds for the command, too. The parent may have been killed before.
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

/// Waits for the end of the command, and for nothing else: what a signal means, the command decides.
async fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        let received = tokio::select! {
            status = child.wait() => return status,
            received = signals.next() => received?,
        };
        // A key of the terminal has already reached the command, too.
        if received.from_terminal {
            continue;
        }
        // There is an id until the command has been waited for, so no other process can be hit.
        if let Some(pid) = child.id() {
            let passed = kill(Pid::from_raw(pid.cast_signed()), received.signal);
            tracing::debug!(signal = %received.signal, pid, ?passed, "passed on");
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn variable_name(name: &str) -> Result<String, &'static str> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("not the name of a variable");
    }
    Ok(name.into())
}
