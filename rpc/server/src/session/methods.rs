//! Names and kinds of a service's methods, and the usual duration of their calls.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Kind of a method: who sends how many messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MethodKind {
    /// An argument, and a result.
    Unary,
    /// An argument, and a stream of messages from the server.
    ServerStream,
    /// A stream of messages from the client, and a result.
    ClientStream,
    /// A stream of messages in each direction.
    BidiStream,
}

impl MethodKind {
    /// Returns the kind with these streams.
    #[must_use]
    pub fn new(client_streams: bool, server_streams: bool) -> Self {
        match (client_streams, server_streams) {
            (false, false) => Self::Unary,
            (false, true) => Self::ServerStream,
            (true, false) => Self::ClientStream,
            (true, true) => Self::BidiStream,
        }
    }

    /// Returns true if the client sends a stream of messages.
    #[must_use]
    pub fn client_streams(self) -> bool {
        matches!(self, Self::ClientStream | Self::BidiStream)
    }

    /// Returns true if the server sends a stream of messages.
    #[must_use]
    pub fn server_streams(self) -> bool {
        matches!(self, Self::ServerStream | Self::BidiStream)
    }

    /// Returns the name of the kind: `unary`, `server_stream`, `client_stream` or `bidi_stream`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ServerStream => "server_stream",
            Self::ClientStream => "client_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

/// Methods of a service by name, shared by all sessions of a server.
#[derive(Debug, Default)]
pub struct MethodTable {
    /// Sorted by name: for a few names, comparisons cost less than a hash.
    methods: Vec<MethodEntry>,
}

/// Identity of a method in its table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MethodId(usize);

#[derive(Debug)]
struct MethodEntry {
    name: String,
    kind: MethodKind,
    /// Moving average of the time for which the first poll of a call keeps its thread, in nanoseconds.
    usual: AtomicU64,
}

impl MethodTable {
    /// Creates a table of unary methods.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self::of_kinds(names.into_iter().map(|name| (name, MethodKind::Unary)))
    }

    /// Creates a table of these methods.
    pub fn of_kinds(methods: impl IntoIterator<Item = (String, MethodKind)>) -> Self {
        let entry = |(name, kind)| MethodEntry { name, kind, usual: AtomicU64::new(0) };
        let mut methods: Vec<_> = methods.into_iter().map(entry).collect();
        methods.sort_by(|a, b| a.name.cmp(&b.name));
        Self { methods }
    }

    /// Returns the method of that name.
    pub fn find(&self, name: &str) -> Option<MethodId> {
        self.methods.binary_search_by(|method| method.name.as_str().cmp(name)).ok().map(MethodId)
    }

    /// Returns the name of a method; empty if it is another table's.
    pub fn name(&self, method: MethodId) -> &str {
        self.methods.get(method.0).map_or("", |method| &method.name)
    }

    /// Returns the kind of a method; unary if it is another table's.
    pub fn kind(&self, method: MethodId) -> MethodKind {
        self.methods.get(method.0).map_or(MethodKind::Unary, |method| method.kind)
    }

    /// Returns the usual time for which the first poll of a call keeps its thread.
    pub fn usual(&self, method: MethodId) -> Duration {
        Duration::from_nanos(self.methods.get(method.0).map_or(0, |method| method.usual.load(Relaxed)))
    }

    /// Records the time for which the first poll of a call kept its thread.
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
    /// Returns the position among the names in alphabetical order.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}
