//! What a caller may set.

use std::path::PathBuf;
use std::time::Duration;

/// How many workers, and how patient the parent is with them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// How many workers to keep running; 1 to 1024. Default: 1.
    pub workers: u32,
    /// How long workers may take to leave after `TERM` before they are killed. Default: 30 s.
    pub grace: Duration,
    /// The same after `INT` or `QUIT`. Default: 2 s.
    pub quick_grace: Duration,
    /// Pause before a worker is started where one died before it was ready, or within this time after it was; it
    /// doubles with each such death, and half of it is by chance. A worker that served for longer is replaced at once.
    /// Less than 10 ms is 10 ms. Default: 100 ms.
    pub backoff_min: Duration,
    /// Longest such pause while other workers serve. While none serves, and after workers that were ready, it is a
    /// second at the most. Default: 30 s.
    pub backoff_max: Duration,
    /// Time after which a ready worker is healthy: only then is its memory compared with
    /// [`max_memory`](Self::max_memory). Default: 10 s.
    pub healthy_after: Duration,
    /// Number of workers that may die in one slot before they are ready, as long as no worker has ever served: then the
    /// service is stopped with [`Error::Boot`](crate::Error::Boot). A service that has served is never given up.
    /// Default: 5.
    pub boot_failures: u32,
    /// A worker that is not ready after this long counts as hung. Default: none, it may take for ever.
    pub boot_timeout: Option<Duration>,
    /// A worker that was ready and has sent no [heartbeat](crate::Worker::heartbeat) for this long counts as hung: it
    /// gets `ABRT`, and `KILL` when [`quick_grace`](Self::quick_grace) is over. Default: none, workers need not send
    /// any.
    pub heartbeat_timeout: Option<Duration>,
    /// A worker this old is replaced, after its successor is ready and up to a tenth earlier by chance. Default: none.
    pub max_age: Option<Duration>,
    /// A worker with more resident memory than this, in bytes, is replaced, after its successor is ready; it is looked
    /// at every second, once it has been ready for [`healthy_after`](Self::healthy_after). That is for slow leaks: it
    /// keeps nobody from growing faster. Pages shared with the parent count too. Default: none.
    pub max_memory: Option<u64>,
    /// Where to put a socket that answers [`status`](crate::status), readable by the owner only. Default: none.
    pub control: Option<PathBuf>,
    /// How long a new program may take, after `USR2`, until its workers are ready; it is stopped then, and the old one
    /// stays. Default: 60 s.
    pub upgrade_timeout: Duration,
    /// How long the helper process for a dead worker may take before it is killed. Default: 5 s.
    pub helper_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            grace: Duration::from_secs(30),
            quick_grace: Duration::from_secs(2),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            healthy_after: Duration::from_secs(10),
            boot_failures: 5,
            boot_timeout: None,
            heartbeat_timeout: None,
            max_age: None,
            max_memory: None,
            control: None,
            upgrade_timeout: Duration::from_secs(60),
            helper_timeout: Duration::from_secs(5),
        }
    }
}
