//! Counts of calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rpc_metrics::ClientMetrics;

use crate::pool::InstanceInfo;

/// Number of instances that are remembered; more if there are links to more.
const MAX_INSTANCES: usize = 1024;

/// Counts of a client's calls so far.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls that have ended; calls dropped by their callers are not counted.
    pub calls: u64,
    /// Calls with a result.
    pub ok: u64,
    /// Calls with an error.
    pub failed: u64,
    /// Attempts beyond the first.
    pub retried: u64,
    /// Attempts that were made because an earlier one was slow; see [`Call::hedge`](crate::Call::hedge).
    pub hedged: u64,
    /// Streams that were opened. They are counted as calls, too.
    pub streams: u64,
    /// Streams that have not been dropped.
    pub open_streams: u64,
    /// Counts for each instance, by the identity in its hello; a Rust server's begins with its process id and `-`. A server
    /// without an identity has its address.
    pub by_instance: BTreeMap<String, InstanceStats>,
}

/// Counts of the calls to one instance.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct InstanceStats {
    /// Address of the instance.
    pub addr: String,
    /// Attempts that were sent to it.
    pub sent: u64,
    /// Attempts with a result.
    pub ok: u64,
    /// Attempts that ended without a result: with an answer that is a failure, or with none.
    pub failed: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) ok: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) streams: AtomicU64,
    pub(crate) open_streams: AtomicU64,
    by_instance: Mutex<BTreeMap<String, Arc<InstanceCounters>>>,
}

#[derive(Debug)]
pub(crate) struct InstanceCounters {
    addr: String,
    pub(crate) sent: AtomicU64,
    pub(crate) ok: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl InstanceCounters {
    fn stats(&self) -> InstanceStats {
        InstanceStats {
            addr: self.addr.clone(),
            sent: self.sent.load(Ordering::Relaxed),
            ok: self.ok.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

impl Counters {
    /// Returns the counters of an instance, for a link to keep.
    pub(crate) fn instance(&self, identity: &str, addr: &str) -> Arc<InstanceCounters> {
        let mut map = self.by_instance.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= MAX_INSTANCES {
            // Counters that a link still holds stay.
            map.retain(|_, counters| Arc::strong_count(counters) > 1);
        }
        let new = || {
            let (sent, ok, failed) = <(AtomicU64, AtomicU64, AtomicU64)>::default();
            Arc::new(InstanceCounters { addr: addr.to_owned(), sent, ok, failed })
        };
        map.entry(name(identity, addr).to_owned()).or_insert_with(new).clone()
    }

    /// Returns the counts, with those that the metrics have, too.
    pub(crate) fn stats(&self, metrics: &ClientMetrics) -> Stats {
        let map = self.by_instance.lock().unwrap_or_else(PoisonError::into_inner);
        let (ok, failed) = (self.ok.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        Stats {
            calls: ok + failed,
            ok,
            failed,
            retried: metrics.retries.get(),
            hedged: metrics.hedges.get(),
            streams: self.streams.load(Ordering::Relaxed),
            open_streams: self.open_streams.load(Ordering::Relaxed),
            by_instance: map
                .iter()
                .map(|(identity, counters)| (identity.clone(), counters.stats()))
                .collect(),
        }
    }

    /// Adds the counts to what the pool knows of an instance.
    pub(crate) fn complete(&self, mut info: InstanceInfo) -> InstanceInfo {
        let map = self.by_instance.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) =
            info.instance.as_ref().and_then(|identity| map.get(name(identity, &info.addr)))
        {
            let InstanceStats { sent, ok, failed, .. } = counters.stats();
            (info.sent, info.ok, info.failed) = (sent, ok, failed);
        }
        info
    }
}

/// Returns the name under which an instance is counted.
fn name<'a>(identity: &'a str, addr: &'a str) -> &'a str {
    if identity.is_empty() { addr } else { identity }
}
