//! The audit log: a line of JSON for each change, appended to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use zk_mini::AuditRecord;
use zk_wire::{SessionId, UnixMillis, Utc};

/// Name of the file in a data directory.
pub(crate) const FILE: &str = "zookeeper_audit.log";

/// User who stands for the server itself.
const SERVER: &str = "zk-mini";

/// An open audit log.
#[derive(Debug)]
pub(crate) struct AuditLog {
    file: File,
    name: PathBuf,
    /// The last line could not be written; that is logged once.
    fails: AtomicBool,
    /// The file ends amid a line, as after a write on a disk that became full: the next line begins with its end.
    is_torn: AtomicBool,
}

/// Reason why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the audit log {}: {source}", file.display())]
pub(crate) struct AuditLogError {
    file: PathBuf,
    source: io::Error,
}

/// A line, with the fields of ZooKeeper's audit log.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    /// Number of the server of an ensemble.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    znode: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    znode_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<&'a str>,
    result: &'a str,
}

impl AuditLog {
    /// Opens a file, which is made if it is missing, to append to it.
    pub(crate) fn open(name: &Path) -> Result<Self, AuditLogError> {
        let opened = OpenOptions::new().append(true).create(true).open(name);
        let file = opened.map_err(|source| AuditLogError { file: name.into(), source })?;
        // Where nobody can tell, an empty line is better than two in one.
        let is_torn = ends_amid_a_line(&file, name).unwrap_or(true);
        Ok(Self { file, name: name.into(), fails: AtomicBool::new(false), is_torn: is_torn.into() })
    }

    /// Writes a change. The line is in the file when this returns.
    pub(crate) fn change(&self, record: &AuditRecord) {
        self.write(&Line {
            time: time(record.time),
            server: record.server,
            session: Some(record.session).filter(|id| *id != SessionId::NONE).map(|id| id.to_string()),
            user: record.user.as_deref().unwrap_or(SERVER),
            ip: record.ip.as_deref(),
            operation: record.operation.name(),
            znode: record.znode.as_deref(),
            znode_type: record.znode_type,
            acl: record.acl.as_deref(),
            result: if record.success { "success" } else { "failure" },
        });
    }

    /// Writes the start of the server.
    pub(crate) fn started(&self, now: UnixMillis) {
        self.server("serverStart", "success", now);
    }

    /// Writes that the server is going to stop.
    pub(crate) fn stops(&self, now: UnixMillis) {
        self.server("serverStop", "invoked", now);
    }

    fn server(&self, operation: &str, result: &str, now: UnixMillis) {
        self.write(&Line {
            time: time(now),
            server: None,
            session: None,
            user: SERVER,
            ip: None,
            operation,
            znode: None,
            znode_type: None,
            acl: None,
            result,
        });
    }

    fn write(&self, line: &Line<'_>) {
        let end_of_torn = if self.is_torn.load(Ordering::Relaxed) { "\n" } else { "" };
        let mut bytes = end_of_torn.as_bytes().to_vec();
        let written = serde_json::to_writer(&mut bytes, line).map_err(io::Error::from).and_then(|()| {
            bytes.push(b'\n');
            self.append(&bytes)
        });
        match written {
            Ok(()) => self.fails.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.fails.swap(true, Ordering::Relaxed) {
                    tracing::error!(file = %self.name.display(), %error, "the audit log cannot be written; lines are lost");
                }
            }
        }
    }

    /// Appends a line, and notes how it ends if not all of it could be written.
    fn append(&self, mut line: &[u8]) -> io::Result<()> {
        while !line.is_empty() {
            // One write, as a rule, so that lines of several servers do not mix.
            match (&self.file).write(line) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    line = line.get(written..).unwrap_or_default();
                    self.is_torn.store(!line.is_empty(), Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Returns true if a file is not empty, and its last line has no end.
fn ends_amid_a_line(file: &File, name: &Path) -> io::Result<bool> {
    let about = file.metadata()?;
    // Of a pipe or a terminal nothing can be read back.
    let Some(last) = about.len().checked_sub(1).filter(|_| about.is_file()) else { return Ok(false) };
    let mut byte = [0];
    File::open(name)?.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

fn time(time: UnixMillis) -> String {
    format!("{:#}", Utc(time))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;

    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_line_that_could_be_written_in_part_does_not_spoil_the_next() {
        // A pipe takes a part of a line that is longer than its room, as a disk does that becomes full.
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let log =
            AuditLog { file: writer.into(), name: "pipe".into(), fails: false.into(), is_torn: false.into() };
        let mut reader = File::from(reader);
        let mut taken = vec![0; 1 << 24];
        let mut take = || {
            let count = reader.read(&mut taken).unwrap();
            String::from_utf8(taken[..count].to_vec()).unwrap()
        };
        log.server("first", "success", UnixMillis(0));
        log.server(&"torn".repeat(1 << 20), "success", UnixMillis(0));
        assert!(!take().ends_with('\n'));
        log.server("second", "success", UnixMillis(0));
        log.server("third", "success", UnixMillis(0));
        let rest = take();
        let whole = rest.strip_prefix('\n').unwrap();
        let operations = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let operations: Vec<_> = operations.map(|line| line["operation"].clone()).collect();
        assert_eq!(operations, ["second", "third"]);
    }

    #[test]
    fn a_torn_line_of_an_earlier_run_does_not_spoil_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("audit.log");
        for (before, expected) in [("", ""), ("{\"torn", "{\"torn\n"), ("{}\n", "{}\n")] {
            fs::write(&name, before).unwrap();
            AuditLog::open(&name).unwrap().started(UnixMillis(0));
            let text = fs::read_to_string(&name).unwrap();
            let line = text.strip_prefix(expected).unwrap_or_else(|| panic!("{text}"));
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{text}");
        }
    }
}
