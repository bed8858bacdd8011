//! Snapshots as bytes, outside of a data directory: there is no log behind them that could complete them.

use std::collections::HashSet;
use std::io;

use bytes::Bytes;
use zk_wire::{Zxid, path};

use super::snapshot;
use crate::core::{Config, Core, Image, ImageNode, Now};

/// Highest zxid of a snapshot: above it is room for as many transactions as a server ever sees.
const HIGHEST: Zxid = Zxid(1 << 62);

/// Reason why bytes are not a snapshot that can be restored.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a snapshot that can be restored; at byte {offset}: {reason}")]
pub struct SnapshotError {
    /// Offset up to which the bytes could be read.
    pub offset: usize,
    /// Description of the fault.
    pub reason: String,
}

/// Returns the bytes of an image, with a digest.
pub(crate) fn image_to_bytes(image: &Image) -> Result<Bytes, SnapshotError> {
    let too_long = |error: io::Error| SnapshotError { offset: 0, reason: error.to_string() };
    if image.digest.is_some() {
        return snapshot::encode(image).map(Bytes::from).map_err(too_long);
    }
    let config = Config { digests: true, ..Config::default() };
    let digest = Core::restore(config, Now::default(), image.clone()).digest();
    let image = Image { digest: digest.map(|digest| (image.last_zxid, digest)), ..image.clone() };
    snapshot::encode(&image).map(Bytes::from).map_err(too_long)
}

/// Reads an image that needs no log.
pub(crate) fn image_from_bytes(bytes: &Bytes) -> Result<Image, SnapshotError> {
    let error = |offset, reason: &str| SnapshotError { offset, reason: reason.into() };
    if bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(b"\x82SNAPPY") {
        return Err(error(0, "it is compressed: decompress it first"));
    }
    let mut nodes = Vec::new();
    let decoded = snapshot::decode(bytes, Zxid(0), |node| nodes.push(node));
    let mut snapshot = decoded.map_err(|(offset, reason)| SnapshotError { offset, reason })?;
    snapshot.image.nodes = nodes;
    check(&snapshot.image.nodes).map_err(|reason| SnapshotError { offset: bytes.len(), reason })?;
    if !(Zxid(0)..=HIGHEST).contains(&snapshot.shown) {
        return Err(error(bytes.len(), "its zxids leave no room for further transactions"));
    }
    snapshot.image.last_zxid = snapshot.shown;
    Ok(snapshot.image)
}

/// Refuses nodes that a log behind the snapshot would have to complete, and those that no server makes.
fn check(nodes: &[ImageNode]) -> Result<(), String> {
    let mut seen = HashSet::from(["/"]);
    for ImageNode { path, acl, czxid, mzxid, pzxid, .. } in nodes {
        path::validate(path).map_err(|error| format!("the node {path:?}: {error}"))?;
        if path != "/" {
            let parent = path::split(path).map_or("/", |(parent, _)| parent);
            if !seen.contains(parent) {
                return Err(format!("the node {path} stands before its parent, or without it"));
            }
            if !seen.insert(path) {
                return Err(format!("the node {path} is there twice"));
            }
        }
        if acl.is_empty() {
            return Err(format!("it does not have the access control list of {path}, which is in a log"));
        }
        if [czxid, mzxid, pzxid].iter().any(|zxid| **zxid < Zxid(0)) {
            return Err(format!("the node {path} has a negative zxid"));
        }
    }
    Ok(())
}
