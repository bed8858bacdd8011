//! The rules of the supervisor, as numbers.

use common::Millis;

/// Maximum number of workers.
pub(crate) const MAX_WORKERS: u32 = 1024;

/// The rules; see [`Options`](crate::Options) for the meaning of each.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: u32,
    pub(crate) grace: Millis,
    pub(crate) quick_grace: Millis,
    pub(crate) backoff_min: Millis,
    pub(crate) backoff_max: Millis,
    pub(crate) healthy_after: Millis,
    pub(crate) boot_failures: u32,
    pub(crate) boot_timeout: Option<Millis>,
    pub(crate) heartbeat_timeout: Option<Millis>,
    pub(crate) max_age: Option<Millis>,
    pub(crate) max_memory: Option<u64>,
    pub(crate) helper_timeout: Millis,
    pub(crate) upgrade_timeout: Millis,
    /// True if the user has set a hook for unclean deaths, so that helpers are of use.
    pub(crate) helpers: bool,
    /// Seed of the jitter in pauses and ages.
    pub(crate) seed: u64,
}
