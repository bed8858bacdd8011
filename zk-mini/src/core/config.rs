//! What a server is told at its start.

use zk_wire::{Millis, Zxid};

use crate::core::access::password::SessionSecret;
use crate::core::compat::Compat;

/// What a server is told at its start. The default is Apache ZooKeeper's, with the tick of its sample
/// configuration.
///
/// ```
/// use zk_mini::core::Config;
/// use zk_wire::Millis;
///
/// let config = Config { tick: Millis(100), ..Config::default() };
/// assert_eq!(config.session_timeout_bounds(), (Millis(200), Millis(2_000)));
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The unit of session expiry: sessions end at multiples of it.
    pub tick: Millis,
    /// The shortest session timeout that a client can get; two ticks if not set.
    pub min_session_timeout: Option<Millis>,
    /// The longest session timeout that a client can get; twenty ticks if not set.
    pub max_session_timeout: Option<Millis>,
    /// Makes the session ids of this server differ from those of another that was started in the same millisecond, and
    /// its tables be in an order that nobody can foresee.
    pub seed: u64,
    /// The number before that of the first transaction, if the server begins with nothing.
    pub begin_after: Zxid,
    /// Key of session passwords. `None` is none: they are made in Apache ZooKeeper's way, so that such a server can go on with the
    /// sessions, and everybody who knows an id has the password.
    pub session_secret: Option<SessionSecret>,
    /// Which release line to be like.
    pub compat: Compat,
    /// Whether nodes with a time to live may be created (`extendedTypesEnabled`).
    pub extended_types: bool,
    /// Whether access control lists are kept but not checked (`skipACL`).
    pub skip_acl: bool,
    /// The digest id (`super:hash`) that may do everything (`DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<String>,
    /// Whether writes over a quota are refused rather than just counted (`enforceQuota`).
    pub enforce_quota: bool,
    /// Whether `reconfig` exists (`reconfigEnabled`); a lone server cannot do it all the same, and says so.
    pub reconfig_enabled: bool,
    /// How often containers and nodes with a time to live are looked at (`znode.container.checkIntervalMs`).
    pub container_check_interval: Millis,
    /// The longest reply to a `multiRead`, in bytes with its length. It is the one request that can ask for the same
    /// megabyte as often as it likes; a longer reply is not written, the request fails with `MARSHALLING_ERROR`.
    pub max_multi_read: usize,
    /// The longest reply to any request, in bytes with its length; what would be longer fails with `MARSHALLING_ERROR`, a
    /// write before it is done. A length says no more than the default.
    pub max_reply: usize,
    /// The longest transaction, in bytes as a log has it: lists with what `auth` stands for, a multi whole. A longer one is
    /// refused with `MARSHALLING_ERROR`; the end of a session is then put out without the list of its nodes.
    pub max_transaction: usize,
    /// Maximum number of identities that a connection may show; one more is not taken, and ends the connection with
    /// `AUTH_FAILED`.
    pub max_auth_ids: usize,
    /// Maximum bytes of all of them together, name and hash; more is refused likewise.
    pub max_auth_id_bytes: usize,
    /// Maximum number of entries of an access control list, `auth` replaced by what it stands for, which may be
    /// [`max_auth_ids`](Self::max_auth_ids) of them; a longer one is an `INVALID_ACL`.
    pub max_acl_entries: usize,
    /// Maximum number of watches of a connection. A request for one more fails with `QUOTA_EXCEEDED`; if it is to set
    /// watches again, the connection is closed.
    pub max_watches: usize,
    /// Maximum bytes of the paths of all of them together; more is refused likewise.
    pub max_watch_bytes: usize,
    /// Whether transactions are put out, to be kept by somebody. A server that lives in memory saves the work.
    pub transactions: bool,
    /// Whether the tree's digest is kept: a checksum over all nodes, which goes into logs and snapshots.
    pub digests: bool,
}

impl Config {
    /// The shortest and the longest session timeout that a client can get. Neither is longer than a client can be told,
    /// which is 24 days.
    #[must_use]
    pub fn session_timeout_bounds(&self) -> (Millis, Millis) {
        let ticks = |n| Millis(self.tick.0.saturating_mul(n));
        let longest = Millis(i32::MAX.unsigned_abs().into());
        let (min, max) =
            (self.min_session_timeout.unwrap_or(ticks(2)), self.max_session_timeout.unwrap_or(ticks(20)));
        (min.min(longest), max.min(longest))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tick: Millis(2_000),
            min_session_timeout: None,
            max_session_timeout: None,
            seed: 0,
            begin_after: Zxid(0),
            session_secret: None,
            compat: Compat::default(),
            extended_types: false,
            skip_acl: false,
            super_digest: None,
            enforce_quota: false,
            reconfig_enabled: false,
            container_check_interval: Millis(60_000),
            max_multi_read: 48 << 20,
            max_reply: i32::MAX as usize,
            max_transaction: 2 * zk_wire::DEFAULT_MAX_FRAME,
            max_auth_ids: 100,
            max_auth_id_bytes: 16 << 10,
            max_acl_entries: 32_768,
            max_watches: 2_000_000,
            max_watch_bytes: 256 << 20,
            transactions: true,
            digests: false,
        }
    }
}
