//! `--load`: a tree in a file, which the server begins with.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use zk_mini::{NodeKind, TreeFile, TreeFileError, WriteError};

/// Option of the commands that start a server.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server options")]
pub(crate) struct LoadArgs {
    /// Begin with the nodes of this file, YAML or JSON; - is standard input
    ///
    /// The file maps paths to nodes, as in `/config/limit: {data: '10'}`. A node may
    /// have data or base64, acl, kind: container, ttl_ms. Clients see all nodes of the
    /// file, or the server does not start. In a data directory, nodes that are there
    /// already get the data and ACLs of the file at each start with this option; all
    /// other nodes stay. Ephemeral nodes are left out: their sessions have ended.
    /// Such a file is written by `zk-mini dump --yaml` from a data directory, and by
    /// a server: curl -H 'Accept: application/yaml' localhost:2181/v1/snapshot
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    load: Option<PathBuf>,
}

/// A tree, and where it comes from.
#[derive(Debug)]
pub(crate) struct Loading {
    source: Source,
    pub(crate) tree: TreeFile,
}

/// File, or standard input, in messages.
#[derive(Clone, Debug)]
pub(crate) struct Source(PathBuf);

/// Reason why a tree cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot read {file}: {source}; --load takes a tree in YAML or JSON")]
    Read { file: Source, source: io::Error },
    #[error(
        "{file}: byte {at} is not UTF-8; --load takes a tree in YAML or JSON, with binary data as base64"
    )]
    NoText { file: Source, at: usize },
    #[error("{file}: {source}")]
    NoTree { file: Source, source: TreeFileError },
    #[error("{file}: {path} has a time to live, which needs --extended-types")]
    NoTtl { file: Source, path: String },
    #[error(
        "--load {} reads standard input to its end, at which --stop-on-eof stops the server; name a file to load",
        file.0.display()
    )]
    InputStopsServer { file: Source },
    #[error("{file}: {source}")]
    Refused { file: Source, source: WriteError },
}

impl LoadArgs {
    /// Refuses a tree from standard input, whose end is to stop the server.
    pub(crate) fn refuse_standard_input(&self) -> Result<(), LoadError> {
        match self.load.clone().map(Source) {
            Some(file) if file.is_standard_input() || is_same_as_input(&file.0) => {
                Err(LoadError::InputStopsServer { file })
            }
            _ => Ok(()),
        }
    }

    /// Reads the file, if there is one.
    pub(crate) fn read(&self) -> Result<Option<Loading>, LoadError> {
        let Some(path) = &self.load else { return Ok(None) };
        let source = Source(path.clone());
        let bytes = if source.is_standard_input() {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        } else {
            fs::read(path)
        };
        let bytes = bytes.map_err(|error| LoadError::Read { file: source.clone(), source: error })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            LoadError::NoText { file: source.clone(), at }
        })?;
        let tree = TreeFile::parse(&text)
            .map_err(|error| LoadError::NoTree { file: source.clone(), source: error })?;
        let ephemeral = tree.nodes.values().filter(|node| matches!(node.kind, NodeKind::Ephemeral(_)));
        let nodes = ephemeral.count();
        if nodes > 0 {
            tracing::warn!(file = %source, nodes, "ephemeral nodes are left out: their sessions have ended");
        }
        Ok(Some(Loading { source, tree }))
    }
}

impl Loading {
    /// Returns the reason why a server does not start with this tree.
    pub(crate) fn refused(self, error: WriteError) -> LoadError {
        let file = self.source;
        match error {
            WriteError::NoTtl { path } => LoadError::NoTtl { file, path },
            source => LoadError::Refused { file, source },
        }
    }
}

impl LoadError {
    /// Returns false if the disk is to blame, not the file.
    pub(crate) fn is_of_the_file(&self) -> bool {
        let Self::Refused { source, .. } = self else { return true };
        !matches!(
            source,
            WriteError::NotDurable { .. } | WriteError::ReadOnly { .. } | WriteError::Stopped { .. }
        )
    }
}

impl Source {
    fn is_standard_input(&self) -> bool {
        self.0.as_os_str() == "-"
    }
}

/// Returns true if a path, such as `/dev/stdin`, names the file that is standard input.
fn is_same_as_input(path: &Path) -> bool {
    let input = io::stdin().as_fd().try_clone_to_owned().and_then(|input| File::from(input).metadata());
    let (Ok(input), Ok(file)) = (input, fs::metadata(path)) else { return false };
    (input.dev(), input.ino()) == (file.dev(), file.ino())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_standard_input() { f.write_str("standard input") } else { self.0.display().fmt(f) }
    }
}
