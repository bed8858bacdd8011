//! `zk-mini fsck`: what a server would find in a data directory, and what it would not start on taken out of it.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use zk_mini::storage::{Moved, Recovery, Repair, recover, repair};

use crate::error::CliError;

/// Check a data directory
///
/// Reads all that a start would read, and says what it would find. The
/// directory may be of Apache ZooKeeper, and is left as it is unless --repair is
/// given.
///
/// Status:
///   0  a server starts on it, with nothing lost
///   1  none does, or there are no data to look at, and why
///   2  one does, but passes over a damaged snapshot, or comes to another state
///      than the one whose digest is in the log; or Apache ZooKeeper does not
///      start on it, because of a record that is too long. Also: a wrong option
///   3  one does, and cuts off the end of the last log, from the byte that is told:
///      what a crash leaves of a write of which nobody was told looks so, and
///      damage in the last write may look so, too. What is cut off is kept in a
///      side file. While a server runs on it, the end may be what it is writing
///   4  --repair has moved something aside; now a server starts on it
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct FsckArgs {
    #[command(flatten)]
    dirs: Dirs,

    /// Move aside what is damaged or does not fit, and all that came after it
    ///
    /// It goes to side files, in the same directory: zk-mini.cut.LOG.from-byte-N is
    /// what stood in a log from that byte on, zk-mini.removed.FILE a whole log or
    /// snapshot. No server reads or deletes them, and none replaces another. To
    /// undo it, put them back. No server may run meanwhile.
    #[arg(long, verbatim_doc_comment)]
    repair: bool,

    /// The jute.maxbuffer that Apache ZooKeeper would have [default: 1048575]
    #[arg(long, value_name = "BYTES")]
    jute_max_buffer: Option<usize>,
}

/// Directories of the data.
#[derive(Args, Debug)]
pub(crate) struct Dirs {
    /// The data directory: the one with `version-2` in it
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Where the logs are, if not there
    #[arg(long, value_name = "DIR")]
    data_log_dir: Option<PathBuf>,
}

impl Dirs {
    pub(crate) fn recover(&self) -> Result<Recovery, CliError> {
        Ok(recover(&self.dir, self.data_log_dir.as_deref()).map_err(zk_mini::Error::from)?)
    }

    fn repair(&self) -> Result<Repair, CliError> {
        Ok(repair(&self.dir, self.data_log_dir.as_deref()).map_err(zk_mini::Error::from)?)
    }
}

pub(crate) fn fsck(args: &FsckArgs) -> Result<ExitCode, CliError> {
    let recovery = if args.repair {
        let Repair { moved, left } = args.dirs.repair()?;
        print(|out| moved.iter().try_for_each(|moved| print_moved(moved, out)))?;
        let recovery = left.map_err(zk_mini::Error::from)?;
        if !moved.is_empty() {
            print(|out| report(&recovery, out))?;
            return Ok(ExitCode::from(4));
        }
        recovery
    } else {
        args.dirs.recover()?
    };
    let too_long = too_long(&recovery, args.jute_max_buffer.unwrap_or(zk_wire::DEFAULT_MAX_FRAME));
    print(|out| {
        report(&recovery, out)?;
        too_long.iter().try_for_each(|warning| writeln!(out, "{warning}"))
    })?;
    let is_doubtful = !recovery.damaged.is_empty() || recovery.verified == Some(false) || too_long.is_some();
    Ok(match recovery.torn {
        Some((.., 1..)) => ExitCode::from(3),
        _ if is_doubtful => ExitCode::from(2),
        _ => ExitCode::SUCCESS,
    })
}

fn print_moved(moved: &Moved, out: &mut dyn Write) -> io::Result<()> {
    match &moved.because {
        Some(error) => writeln!(out, "repaired: {error}")?,
        None => writeln!(out, "repaired: the end of the last log was half-written")?,
    }
    moved.to.iter().try_for_each(|file| writeln!(out, "moved to: {}", file.display()))
}

fn report(recovery: &Recovery, out: &mut dyn Write) -> io::Result<()> {
    for error in &recovery.damaged {
        writeln!(out, "passed over: {error}")?;
    }
    match &recovery.snapshot {
        Some(file) => writeln!(out, "snapshot: {}", file.display())?,
        None => writeln!(out, "snapshot: none")?,
    }
    writeln!(out, "transactions after it: {}", recovery.replayed)?;
    if let Some((file, offset, bytes @ 1..)) = &recovery.torn {
        writeln!(
            out,
            "half-written end, which the next start cuts off and keeps in a side file: {} from byte {offset}, {bytes} \
             bytes",
            file.display()
        )?;
    }
    if recovery.verified == Some(false) {
        writeln!(out, "the digest in the log is not that of the state")?;
    }
    let core = &recovery.core;
    let (nodes, sessions) = (core.node_count(), core.session_count());
    writeln!(out, "state: zxid {}, {nodes} nodes, {sessions} sessions", core.last_zxid())
}

/// Tells of a record on which Apache ZooKeeper does not start: it reads none that is longer than `jute.maxbuffer` and as
/// much again, or 1,024 bytes if that is more.
fn too_long(recovery: &Recovery, max_buffer: usize) -> Option<String> {
    const LEAST_EXTRA: usize = 1_024;
    let readable = max_buffer.saturating_add(max_buffer.max(LEAST_EXTRA));
    let longest = recovery.longest.as_ref().filter(|longest| longest.bytes > readable)?;
    Some(format!(
        "too long for Apache ZooKeeper: {} has a record of {} bytes at byte {}, and it reads none over {readable}; it \
         starts with a jute.maxbuffer of {} or more",
        longest.file.display(),
        longest.bytes,
        longest.offset,
        longest.bytes.div_ceil(2)
    ))
}

/// Prints; whoever has seen enough may close the pipe.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<ExitCode, CliError> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}
