//! Owners of a data directory: this server, an Apache ZooKeeper that runs on it, or an ensemble that it belongs to.

use std::path::Path;
use std::process;

use super::disk::{Disk, Lock};
use super::error::StorageError;
use super::files::{self, Files};

/// File with the process id of the server that `zkServer.sh` has started.
const PID_FILE: &str = "zookeeper_server.pid";

/// File with the number of a member of an ensemble.
const MEMBER_FILE: &str = "myid";

/// Directory in which Linux shows the processes.
const PROC: &str = "/proc";

/// Maximum number of bytes to read of a number.
const NUMBER: u64 = 32;

/// Locks the directories, until the locks are dropped, and refuses them if another server has them.
pub(super) fn take(files: &Files) -> Result<Vec<Box<dyn Lock>>, StorageError> {
    let locks = files.to_lock()?.iter().map(|dir| lock(&*files.disk, dir)).collect::<Result<_, _>>()?;
    for dir in files.outer() {
        check(&*files.disk, dir)?;
    }
    let dir = files.outer()[0];
    if is_of_a_member(&*files.disk, dir) {
        log!(WARN,
            dir = %dir.display(),
            "myid says that this is the directory of a member of an ensemble: writes here diverge from \
             the other members, and the ensemble must not take it back"
        );
    }
    Ok(locks)
}

/// Notes the directory of the logs, for a start that is given another one.
pub(super) fn note_logs(files: &Files, locks: &[Box<dyn Lock>]) -> Result<(), StorageError> {
    let Some(lock) = locks.first() else { return Ok(()) };
    let noted = lock.note(&files.log_dir_to_note()?);
    noted.map_err(|source| StorageError::io("write", &files.outer()[0].join(files::LOCK), source))
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, StorageError> {
    let path = dir.join(files::LOCK);
    let locked = disk.lock(&path).map_err(|source| StorageError::io("lock", &path, source))?;
    locked.ok_or_else(|| StorageError::Locked { dir: dir.into() })
}

/// Refuses a directory on which Apache ZooKeeper runs. A file that names a process that has ended is ignored.
fn check(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    let file = dir.join(PID_FILE);
    let noted = disk.read_start(&file, NUMBER).ok().and_then(|content| String::from_utf8(content).ok());
    // 0 and negative numbers are groups of processes.
    match noted.and_then(|noted| noted.trim().parse().ok()).filter(|pid| *pid > 0) {
        Some(pid) if is_alive(Path::new(PROC), pid) => {
            Err(StorageError::Owned { dir: dir.into(), pid, file })
        }
        _ => Ok(()),
    }
}

/// Returns true if a directory is that of a member of an ensemble.
fn is_of_a_member(disk: &dyn Disk, dir: &Path) -> bool {
    disk.read_start(&dir.join(MEMBER_FILE), NUMBER).is_ok()
}

/// Returns true if the process exists, also if it is another user's. `proc` is the system's `/proc`. Processes that it does
/// not show are assumed to be alive, because two servers on one directory would destroy its data: that is so on systems
/// without `/proc`, and where it hides the processes of other users (`hidepid`), and with them process 1.
fn is_alive(proc: &Path, pid: i32) -> bool {
    // In a container, process ids begin at 1: a stale file may name this process.
    let is_this = u32::try_from(pid) == Ok(process::id());
    !is_this && (proc.join(pid.to_string()).exists() || !proc.join("1").exists())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::parent_id;
    use std::process::Command;

    use super::*;

    #[test]
    fn another_process_is_alive_until_it_has_been_waited_for() {
        let number = |pid: u32| i32::try_from(pid).unwrap();
        let is_alive = |pid| is_alive(Path::new(PROC), pid);
        assert!(is_alive(number(parent_id())));
        assert!(!is_alive(number(process::id())), "this process is no other owner");
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(number(child.id())));
    }
    #[test]
    fn a_process_that_may_be_hidden_is_assumed_to_be_alive() -> std::io::Result<()> {
        let proc = tempfile::tempdir()?;
        assert!(is_alive(proc.path(), 77), "nothing is shown");
        std::fs::create_dir(proc.path().join("self"))?;
        assert!(is_alive(proc.path(), 77), "only this user's processes are shown");
        std::fs::create_dir(proc.path().join("1"))?;
        assert!(!is_alive(proc.path(), 77));
        std::fs::create_dir(proc.path().join("77"))?;
        assert!(is_alive(proc.path(), 77));
        Ok(())
    }
}
