//! Limits that bound what one client can cost.

use std::time::Duration;

use crate::builder::Builder;
use crate::core::Throttle;

/// Limits. Those beyond ZooKeeper's are far above the needs of real systems.
impl Builder {
    /// Maximum of [`jute_max_buffer`](Self::jute_max_buffer) in bytes. Text in a request may become three times as long when
    /// bytes that are not UTF-8 are replaced, and its length must still fit.
    pub const MAX_JUTE_MAX_BUFFER: usize = 512 << 20;

    /// Minimum of [`jute_max_buffer`](Self::jute_max_buffer) in bytes: the length of the request for a session, with which every
    /// client begins.
    pub const MIN_JUTE_MAX_BUFFER: usize = 45;

    /// Sets `maxClientCnxns`, the maximum number of TCP connections from one address; 60 unless set, and 0 or less is
    /// no limit. Further connections are closed without a word. In-memory connections are not counted. Each of several
    /// [`servers`](Self::servers) counts its own, and those to an address for TLS only apart from the others.
    pub fn max_client_connections(mut self, max: i32) -> Self {
        self.limits.max_client_connections = max;
        self
    }

    /// Sets `maxCnxns`, the maximum number of TCP connections; 0 or less, the default, is no limit. Further connections are
    /// closed without a word. In-memory connections are not counted. Each of several [`servers`](Self::servers) counts its own.
    pub fn max_connections(mut self, max: i32) -> Self {
        self.limits.max_connections = max;
        self
    }

    /// Throttles new connections, for a server that many clients come to at once; off unless set. A connection that finds no
    /// token is closed without a word when it asks for a session, and its client tries again. Each of several
    /// [`servers`](Self::servers) has tokens of its own.
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.core.throttle = throttle;
        self
    }

    /// Sets `jute.maxbuffer`, the maximum length of a request in bytes; 1,048,575 unless set,
    /// [45](Self::MIN_JUTE_MAX_BUFFER) at least, and [512 MiB](Self::MAX_JUTE_MAX_BUFFER) at most. A longer request closes its connection. Replies may be longer.
    pub fn jute_max_buffer(mut self, bytes: usize) -> Self {
        self.limits.max_frame = bytes.clamp(Self::MIN_JUTE_MAX_BUFFER, Self::MAX_JUTE_MAX_BUFFER);
        self
    }

    /// Sets `jute.maxbuffer.extrasize`, the number of bytes by which a transaction may be longer than
    /// [`jute_max_buffer`](Self::jute_max_buffer); the same number unless set, and 1,024 at least. A write with a
    /// longer transaction, such as a multi with many long ACLs, is refused with "cannot be read", code -5. Apache
    /// ZooKeeper does not start on a log with a longer record: to take the data over, it needs the same two settings.
    pub fn jute_max_buffer_extra_size(mut self, bytes: usize) -> Self {
        self.limits.extra_frame = Some(bytes);
        self
    }

    /// Sets the maximum length of a reply in bytes; 2 GiB unless set, the maximum of the protocol. A request with a
    /// longer reply, such as a list of very many children, fails with "cannot be read", code -5.
    pub fn max_reply(mut self, bytes: usize) -> Self {
        self.core.max_reply = bytes;
        self
    }

    /// Sets the maximum number of identities that a connection may add with `auth`; 100 unless set. One more is
    /// refused with "authentication failed", which closes the connection, as every refused identity does. The session
    /// lives on.
    pub fn max_auth_ids(mut self, count: usize) -> Self {
        self.core.max_auth_ids = count;
        self
    }

    /// Sets the maximum number of bytes of all identities of a connection, names and hashes; 16 KiB unless set. More
    /// is refused as by [`max_auth_ids`](Self::max_auth_ids).
    pub fn max_auth_id_bytes(mut self, bytes: usize) -> Self {
        self.core.max_auth_id_bytes = bytes;
        self
    }

    /// Sets the maximum number of entries of an access control list, counted with `auth` replaced by the identities
    /// that it stands for; 32,768 unless set. At most [`max_auth_ids`](Self::max_auth_ids) of them may come from
    /// `auth`, even from several `auth` with different permissions. A longer list is refused with "invalid ACL".
    /// Lists in a data directory may be longer.
    pub fn max_acl_entries(mut self, count: usize) -> Self {
        self.core.max_acl_entries = count;
        self
    }

    /// Sets the maximum number of watches of a connection; 2,000,000 unless set. A path counts once for the events of
    /// its node, and once for those of its children; a persistent watch counts for both. A request for one more fails
    /// with "quota exceeded"; a `setWatches`, after a reconnect, closes the connection.
    pub fn max_watches(mut self, count: usize) -> Self {
        self.core.max_watches = count;
        self
    }

    /// Sets the maximum number of bytes of the paths of all watches of a connection; 256 MiB unless set. More is
    /// refused as by [`max_watches`](Self::max_watches).
    pub fn max_watch_bytes(mut self, bytes: usize) -> Self {
        self.core.max_watch_bytes = bytes;
        self
    }

    /// Sets the maximum number of bytes that wait for a peer that does not read; 64 MiB unless set. From a quarter of
    /// it on, no more requests are read from that connection. Above it, which only watch events can reach, the
    /// connection is closed. A `multiRead` whose reply would take more than three quarters of it fails.
    pub fn max_backlog(mut self, bytes: usize) -> Self {
        self.limits.max_backlog = bytes;
        self
    }

    /// Sets the time for which the requests of one connection are handled before other connections have a turn; 2 ms
    /// unless set. One request at least is handled, however long it takes. While the clock is held or tokio's, this time
    /// is estimated from the number of bytes, so that runs repeat.
    pub fn longest_turn(mut self, time: Duration) -> Self {
        self.limits.time_slice = time;
        self
    }
}
