//! `zk-mini dump` and `zk-mini fsck`: a look at a data directory, which they leave as it is.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use zk_mini::core::{Core, ImageNode, NodeKind};
use zk_mini::storage::{Recovery, recover};

use super::error::CliError;

/// Print the tree that a data directory holds
///
/// One line a node: its path, what kind it is, its data. The directory may be
/// of Apache ZooKeeper, and is left as it is; a server on it may run.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct DumpArgs {
    #[command(flatten)]
    dirs: Dirs,
}

/// Check a data directory
///
/// Reads all that a start would read, and says what it would find. The
/// directory may be of Apache ZooKeeper, and is left as it is. Status 0: a
/// server starts on it with nothing lost; 1: it does not, and why; 2: it does,
/// but passes over a damaged snapshot, or comes to another state than the one
/// whose digest is in the log.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct FsckArgs {
    #[command(flatten)]
    dirs: Dirs,
}

#[derive(Args, Debug)]
struct Dirs {
    /// The data directory: the one with `version-2` in it
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Where the logs are, if not there
    #[arg(long, value_name = "DIR")]
    data_log_dir: Option<PathBuf>,
}

impl Dirs {
    fn recover(&self) -> Result<Recovery, CliError> {
        Ok(recover(&self.dir, self.data_log_dir.as_deref()).map_err(zk_mini::Error::from)?)
    }
}

pub(super) fn dump(args: &DumpArgs) -> Result<ExitCode, CliError> {
    let core = args.dirs.recover()?.core;
    print(|out| {
        writeln!(out, "# zxid {}, {} nodes", core.last_zxid(), core.node_count())?;
        for session in core.sessions() {
            writeln!(out, "# session {}, timeout {}", session.id, session.timeout)?;
        }
        core.image().nodes.iter().try_for_each(|node| print_node(node, out))
    })
}

pub(super) fn fsck(args: &FsckArgs) -> Result<ExitCode, CliError> {
    let recovery = args.dirs.recover()?;
    print(|out| report(&recovery, &recovery.core, out))?;
    let sound = recovery.damaged.is_empty() && recovery.verified != Some(false);
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn report(recovery: &Recovery, core: &Core, out: &mut dyn Write) -> io::Result<()> {
    for error in &recovery.damaged {
        writeln!(out, "passed over: {error}")?;
    }
    match &recovery.snapshot {
        Some(file) => writeln!(out, "snapshot: {}", file.display())?,
        None => writeln!(out, "snapshot: none")?,
    }
    writeln!(out, "transactions after it: {}", recovery.replayed)?;
    if let Some((file, offset, bytes)) = &recovery.torn {
        writeln!(
            out,
            "half-written end, which the next start cuts off: {} from byte {offset}, {bytes} bytes",
            file.display()
        )?;
    }
    if recovery.verified == Some(false) {
        writeln!(out, "the digest in the log is not that of the state")?;
    }
    let (nodes, sessions) = (core.node_count(), core.session_count());
    writeln!(out, "state: zxid {}, {nodes} nodes, {sessions} sessions", core.last_zxid())
}

fn print_node(node: &ImageNode, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{}", node.path.escape_debug())?;
    match node.kind {
        NodeKind::Persistent => {}
        NodeKind::Ephemeral(session) => write!(out, " [ephemeral of {session}]")?,
        NodeKind::Container => write!(out, " [container]")?,
        NodeKind::Ttl(ttl) => write!(out, " [time to live {ttl}]")?,
    }
    match &node.data {
        Some(data) if !data.is_empty() => writeln!(out, " {}", data.escape_ascii()),
        _ => writeln!(out),
    }
}

/// Prints; whoever has seen enough may close the pipe.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<ExitCode, CliError> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}
