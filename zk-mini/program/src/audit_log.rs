//! The audit log: a line of JSON for each change, appended to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
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
        Ok(Self { file, name: name.into(), fails: AtomicBool::new(false) })
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
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            // One write, so that lines of several servers do not mix.
            (&self.file).write_all(&line)
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
}

fn time(time: UnixMillis) -> String {
    format!("{:#}", Utc(time))
}
