//! Methods of a service: their names, and the time that their calls usually take.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Methods by name, shared by all sessions of a server.
#[derive(Debug, Default)]
pub struct MethodTable {
    /// Sorted by name. There are few, and a comparison or two cost less than a hash.
    methods: Vec<MethodEntry>,
}

/// Place of a method in its table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MethodId(usize);

#[derive(Debug)]
struct MethodEntry {
    name: String,
    /// Time for which a call usually keeps its thread at the start, in nanoseconds: a moving average.
    usual: AtomicU64,
}

impl MethodTable {
    /// Builds the table of these methods.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut methods: Vec<_> =
            names.into_iter().map(|name| MethodEntry { name, usual: AtomicU64::new(0) }).collect();
        methods.sort_by(|a, b| a.name.cmp(&b.name));
        Self { methods }
    }

    /// Returns the method of that name.
    pub fn find(&self, name: &str) -> Option<MethodId> {
        self.methods.binary_search_by(|method| method.name.as_str().cmp(name)).ok().map(MethodId)
    }

    /// Returns the time for which a call usually keeps the thread.
    pub fn usual(&self, method: MethodId) -> Duration {
        Duration::from_nanos(self.methods.get(method.0).map_or(0, |method| method.usual.load(Relaxed)))
    }

    /// Notes the time for which a call has kept the thread.
    pub fn took(&self, method: MethodId, time: Duration) {
        let Some(method) = self.methods.get(method.0) else { return };
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let usual = match method.usual.load(Relaxed) {
            0 => time,
            usual => usual - usual / 8 + time / 8,
        };
        method.usual.store(usual, Relaxed);
    }
}

impl MethodId {
    /// Returns the place in the order of names.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}
