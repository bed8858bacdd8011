//! The options of a preforked service.

use std::path::PathBuf;
use std::time::Duration;

/// Configures a preforked service: number of workers, grace periods, pauses, limits.
///
/// ```
/// use std::time::Duration;
///
/// use rpc_prefork::Options;
///
/// let options = Options::default().workers(4).grace(Duration::from_secs(10)).max_memory(512 << 20);
/// assert_eq!(options.workers, 4);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Number of workers to keep running, from 1 to 1024. Default: 1.
    pub workers: u32,
    /// Time that workers have to exit after `TERM` before they are killed. Default: 30 s.
    pub grace: Duration,
    /// Time that workers have to exit after `INT` or `QUIT` before they are killed. Default: 2 s.
    pub quick_grace: Duration,
    /// First pause before a slot is filled again whose worker died before it was ready, or within this time after. The
    /// pause doubles with each such death; up to half of it is cut off by chance. A worker that served for longer is
    /// replaced at once. Less than 10 ms counts as 10 ms. Default: 100 ms.
    pub backoff_min: Duration,
    /// Longest such pause while other workers serve. While none serves, and after workers that were ready, a pause is at
    /// most 1 s. Default: 30 s.
    pub backoff_max: Duration,
    /// Time after which a ready worker counts as healthy. Its memory is compared with
    /// [`max_memory`](field@Self::max_memory) from then on. Default: 10 s.
    pub healthy_after: Duration,
    /// Number of workers that may die in one slot before they are ready, forks that fail included. The service then ends with
    /// [`Error::Boot`](crate::Error::Boot), or with [`Error::System`](crate::Error::System) if the last one could not be forked,
    /// unless some worker has been ready before. Default: 5.
    pub boot_failures: u32,
    /// Time after which a worker that is not ready counts as hung. Default: none, a worker may boot for ever.
    pub boot_timeout: Option<Duration>,
    /// Time after which a ready worker without a [heartbeat](crate::Worker::heartbeat) counts as hung. A hung worker gets
    /// `ABRT`, and `KILL` after [`quick_grace`](field@Self::quick_grace). Default: none, no heartbeats are expected.
    pub heartbeat_timeout: Option<Duration>,
    /// Age at which a worker is replaced, once its successor is ready; up to a tenth earlier by chance. Default: none.
    pub max_age: Option<Duration>,
    /// Resident memory, in bytes, above which a worker is replaced, once its successor is ready. Memory is measured every
    /// second, from [`healthy_after`](field@Self::healthy_after) on, and pages shared with the parent count. This is for
    /// slow leaks; it does not stop a worker that grows fast. Default: none.
    pub max_memory: Option<u64>,
    /// Path of a socket that answers [`status`](crate::status), readable by its owner only. Default: none.
    pub control: Option<PathBuf>,
    /// Time that a new program has, after `USR2`, until its workers are ready. It is stopped then, and the old program
    /// goes on. Default: 60 s.
    pub upgrade_timeout: Duration,
    /// Time that the helper process for a dead worker has before it is killed. Default: 5 s.
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

macro_rules! setters {
    ($($name:ident: $type:ty;)*) => {
        impl Options {
            $(
                #[doc = concat!("Sets [`", stringify!($name), "`](field@Self::", stringify!($name), ").")]
                #[must_use]
                pub fn $name(mut self, value: impl Into<$type>) -> Self {
                    self.$name = value.into();
                    self
                }
            )*
        }
    };
}

setters! {
    grace: Duration;
    quick_grace: Duration;
    backoff_min: Duration;
    backoff_max: Duration;
    healthy_after: Duration;
    boot_timeout: Option<Duration>;
    heartbeat_timeout: Option<Duration>;
    max_age: Option<Duration>;
    max_memory: Option<u64>;
    upgrade_timeout: Duration;
    helper_timeout: Duration;
}

impl Options {
    /// Sets [`workers`](field@Self::workers).
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Sets [`boot_failures`](field@Self::boot_failures).
    #[must_use]
    pub fn boot_failures(mut self, failures: u32) -> Self {
        self.boot_failures = failures;
        self
    }

    /// Sets [`control`](field@Self::control).
    #[must_use]
    pub fn control(mut self, path: impl Into<PathBuf>) -> Self {
        self.control = Some(path.into());
        self
    }
}
