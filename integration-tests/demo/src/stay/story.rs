//! The stage as the page shows it.

use serde::Serialize;

/// Everything that the page shows.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    /// Address of ZooKeeper.
    pub(super) hosts: &'a str,
    /// Page of zk-mini, if it is in this process.
    pub(super) zk_page: Option<String>,
    pub(super) service: &'a str,
    pub(super) calls: Calls,
    pub(super) servers: Vec<ShownServer<'a>>,
    /// Lines of the story, the last first.
    pub(super) story: Vec<&'a Line>,
    /// True if there may be one more server.
    pub(super) may_add: bool,
}

/// Counts of all calls.
#[derive(Debug, Serialize)]
pub(super) struct Calls {
    pub(super) per_second: u64,
    pub(super) ok: u64,
    pub(super) retried: u64,
    pub(super) failed: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ShownServer<'a> {
    pub(super) number: u32,
    /// Address, once it has one.
    pub(super) addr: Option<&'a str>,
    /// Process id of the parent, once it runs.
    pub(super) parent: Option<u32>,
    /// `starting`, `serving` or `stopping`.
    pub(super) state: &'static str,
    pub(super) may_stop: bool,
    pub(super) workers: Vec<ShownWorker>,
}

#[derive(Debug, Serialize)]
pub(super) struct ShownWorker {
    pub(super) pid: u32,
    /// Path of its node.
    pub(super) node: String,
    pub(super) answered: u64,
    pub(super) per_second: u64,
    /// True from its registration until the look after the next.
    pub(super) is_new: bool,
    /// True if it was killed or its node is gone.
    pub(super) is_dead: bool,
    /// Milliseconds between the kill by the button and the end of its node.
    pub(super) gone_after_ms: Option<f64>,
    pub(super) may_kill: bool,
}

/// Line of the story.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    /// Seconds since the start.
    pub(super) at: f64,
    /// `killed`, `gone`, `new` or `plain`.
    pub(super) kind: &'static str,
    pub(super) text: String,
}
