//! `--data-dir` and its neighbours: where a server keeps its data, and how safely.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use zk_mini::{Builder, SyncMode};

use crate::audit_log::{self, AuditLog, AuditLogError};
use crate::settings::Settings;

/// Options of the commands that start a server.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Server options")]
pub(crate) struct DiskOptions {
    /// Directory for snapshots and logs, in Apache ZooKeeper's format [default: memory only]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Directory for transaction logs, beside a --data-dir [default: the data directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_log_dir: Option<PathBuf>,

    /// Durability of a write before it is acknowledged [default: group]
    ///
    /// always: on disk, one sync for each write; group: on disk, one sync for all
    /// writes that wait, which is as safe; none: handed to the operating system.
    #[arg(long, value_name = "WHEN", value_parser = sync_mode, verbatim_doc_comment)]
    pub(crate) sync: Option<SyncMode>,

    /// File that gets a line of JSON for each change of a client, over HTTP, too [default: none; with audit.enable in a zoo.cfg zookeeper_audit.log in the directory of the logs]
    ///
    /// POST /v1/restore and /v1/reset replace the whole tree without a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,

    /// Number of snapshots to keep, with the logs that belong to them [default: all]
    #[arg(long, value_name = "N", value_parser = snapshots)]
    pub(crate) retain_snapshots: Option<NonZeroUsize>,
}

/// Reason why options of a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    /// Without a data directory everything is in memory, and none of these options has an effect.
    #[error(
        "{option} is about data on disk, and without --data-dir the server keeps everything in memory: add --data-dir DIR, or \
         leave {option} out"
    )]
    InMemory { option: &'static str },
}

impl DiskOptions {
    /// Takes missing options from `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(other.data_dir),
            data_log_dir: self.data_log_dir.or(other.data_log_dir),
            sync: self.sync.or(other.sync),
            audit_log: self.audit_log.or(other.audit_log),
            retain_snapshots: self.retain_snapshots.or(other.retain_snapshots),
        }
    }

    /// Returns the file of an audit log in the directory of the transaction logs.
    pub(crate) fn audit_file(&self) -> Option<PathBuf> {
        self.data_log_dir.as_ref().or(self.data_dir.as_ref()).map(|dir| dir.join(audit_log::FILE))
    }

    /// Checks, once all sources are merged, that data are kept if an option asks for it.
    pub(crate) fn check(&self, settings: &Settings) -> Result<(), DiskError> {
        if self.data_dir.is_some() {
            return Ok(());
        }
        let about_data = [
            (self.data_log_dir.is_some(), "--data-log-dir"),
            (self.sync.is_some(), "--sync"),
            (self.retain_snapshots.is_some(), "--retain-snapshots"),
        ];
        let given = about_data.into_iter().find(|(is_set, _)| *is_set).map(|(_, option)| option);
        match given.or(settings.about_files()) {
            Some(option) => Err(DiskError::InMemory { option }),
            None => Ok(()),
        }
    }

    /// Opens the audit log, if there is to be one.
    pub(crate) fn open_audit_log(&self) -> Result<Option<Arc<AuditLog>>, AuditLogError> {
        self.audit_log.as_deref().map(AuditLog::open).transpose().map(|log| log.map(Arc::new))
    }

    /// Configures a server.
    pub(crate) fn apply(self, builder: Builder) -> Builder {
        let mut builder = builder.sync(self.sync.unwrap_or_default());
        if let Some(dir) = self.data_dir {
            builder = builder.data_dir(dir);
        }
        if let Some(dir) = self.data_log_dir {
            builder = builder.data_log_dir(dir);
        }
        if let Some(count) = self.retain_snapshots {
            builder = builder.retain_snapshots(count);
        }
        builder
    }
}

fn snapshots(value: &str) -> Result<NonZeroUsize, &'static str> {
    value.parse().map_err(|_| "a number of snapshots, 1 or more")
}

fn sync_mode(value: &str) -> Result<SyncMode, &'static str> {
    match value {
        "always" => Ok(SyncMode::Always),
        "group" => Ok(SyncMode::Group),
        "none" => Ok(SyncMode::None),
        _ => Err("always, group or none"),
    }
}
