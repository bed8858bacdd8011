//! `zk-mini fsck`: checks a data directory, and moves aside the damage that prevents a start.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use zk_mini::storage::{Moved, Recovery, Repair, recover, repair};

use crate::error::CliError;

/// Check a data directory
///
/// Reads all files that a server reads when it starts, and reports what it finds.
/// The directory may be Apache ZooKeeper's. It is only read, unless --repair is
/// given.
///
/// Status:
///   0  a server starts, and nothing is lost
///   1  no server starts, or there is no data; the reason is printed
///   2  a server starts, but skips a damaged snapshot, or reaches a state other
///      than the one whose digest is in the log; or Apache ZooKeeper does not
///      start because a record is too long. Also: a bad option
///   3  a server starts, and cuts off the end of the last log from the byte that is
///      printed: the usual trace of a crash during a write that was not yet
///      acknowledged. Damage in the last write can look the same. The part cut off
///      is kept in a side file. A running server may still be writing it
///   4  --repair has moved files aside, and now a server starts
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct FsckArgs {
    #[command(flatten)]
    dirs: Dirs,

    /// Move aside damaged or misplaced parts, and everything after them
    ///
    /// They go to side files in the same directory: zk-mini.cut.LOG.from-byte-N has
    /// the bytes of a log from N on, zk-mini.removed.FILE is a whole log or snapshot.
    /// No server reads or deletes side files, and none replaces another. To undo a
    /// repair, put them back. Stop the server first.
    #[arg(long, verbatim_doc_comment)]
    repair: bool,

    /// Value of jute.maxbuffer to assume for Apache ZooKeeper [default: 1048575]
    #[arg(long, value_name = "BYTES")]
    jute_max_buffer: Option<usize>,
}

/// Directories of the data.
#[derive(Args, Debug)]
pub(crate) struct Dirs {
    /// Data directory: the one that contains `version-2`
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Directory of the transaction logs [default: the data directory]
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
        Some(error) => writeln!(out, "repaired: {}", error.fault())?,
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

/// Returns a warning if a record keeps Apache ZooKeeper from starting. It reads records of up to twice `jute.maxbuffer`, or
/// `jute.maxbuffer` and 1,024 bytes if that is more.
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

/// Prints to standard output; a reader may close the pipe early.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<ExitCode, CliError> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}
