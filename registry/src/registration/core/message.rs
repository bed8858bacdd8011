//! Inputs and outputs of the core.

use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Expected, SessionId, Stat, Version, Zxid};

/// Events that the shell reports.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// The same for every node.
    All(NodeInput),
    /// For the node of this format, counted from 0.
    One(usize, NodeInput),
    /// Newer data to publish, one for each format. Revisions grow.
    Update { data: Arc<[Bytes]>, revision: u64 },
}

/// Events in the life of one node.
#[derive(Clone, Debug)]
pub(crate) enum NodeInput {
    /// A connection exists, under this session. Comes before the outcome of any step of that session.
    Connected(SessionId),
    /// No connection exists; the session may live on.
    Disconnected,
    /// The session has ended, and there is no other one yet.
    SessionOver,
    /// The last step is over.
    Done(StepOutcome),
    /// The watch on our node fired or was lost.
    NodeChanged,
    /// Newer data to publish. Revisions grow.
    Update { data: Bytes, revision: u64 },
    /// Nothing is to be published any more. Final.
    Withdraw,
    /// The deadline has come.
    Timeout,
}

/// One step to perform. [`NodeInput::Done`] answers it before the next comes out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// Create the service's node if it is missing.
    EnsureParent,
    /// Create an ephemeral node.
    Create { name: NodeName, data: Bytes },
    /// Delete the node of this name if it has this version, and create ours: both or none. The data is written once more in
    /// the same transaction, if that is asked for, so that the new node has version 1.
    Replace { name: String, version: Version, data: Bytes, writes_twice: bool },
    /// Let the server catch up, then look for a node of this name.
    Find { name: NodeName },
    /// Read the node's `Stat`, and watch the node.
    Check { path: String },
    /// Set the node's data.
    Set { path: String, version: Expected, data: Bytes, revision: u64 },
    /// Delete the node.
    Delete { path: String, version: Expected },
}

/// Name of a node that is not known to exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NodeName {
    /// Beginning of a name; the server appends a counter.
    Sequential(String),
    /// Whole name.
    Fixed(String),
}

/// End of a step.
#[derive(Clone, Debug)]
pub(crate) enum StepOutcome {
    /// The parent exists.
    ParentExists,
    /// The node was created.
    Created(Node),
    /// The other node was deleted and ours created.
    Replaced,
    /// The node that was found, if any.
    Found(Option<Node>),
    /// The node, if it exists; a watch is set.
    Checked(Option<Node>),
    /// The data of this node was set.
    Set(Node),
    /// The node was deleted.
    Deleted,
    /// The step failed.
    Failed(StepFailure),
}

/// A node as the server knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) owner: SessionId,
    /// Transaction that created it. Another node of the same name has another one.
    pub(crate) created: Zxid,
    pub(crate) version: Version,
}

impl Node {
    pub(crate) fn new(path: String, stat: &Stat) -> Self {
        Self { path, owner: stat.ephemeral_owner, created: stat.czxid, version: stat.version }
    }
}

/// Cause of a failed step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StepFailure {
    /// The node, or the parent of a node to create, does not exist.
    NoNode,
    /// The node to create exists.
    NodeExists,
    /// The node has another version.
    BadVersion,
    /// No answer: the step was performed or not.
    Unanswered,
    /// The step was not performed, and may work later.
    NotDone,
    /// The step was not performed, and a retry only helps after a change on the server.
    Refused,
}
