//! Configuration of a server.

use zk_wire::{Millis, Zxid};

use crate::core::access::password::SessionSecret;
use crate::core::access::sasl::{self, SaslUsers};
use crate::core::compat::Compat;
use crate::core::throttle::Throttle;

/// Configuration of a server. Defaults are those of Apache ZooKeeper, with the tick of its sample configuration.
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
    /// Unit of session expiry: sessions expire at multiples of it.
    pub tick: Millis,
    /// Minimum session timeout that a client can get; two ticks if not set.
    pub min_session_timeout: Option<Millis>,
    /// Maximum session timeout that a client can get; twenty ticks if not set.
    pub max_session_timeout: Option<Millis>,
    /// Seed of session ids and hash tables. Servers with different seeds give different session ids even if they
    /// start in the same millisecond. Clients must not be able to guess it, because it protects the hash tables.
    pub seed: u64,
    /// Number before that of the first transaction, for a server without earlier state.
    pub begin_after: Zxid,
    /// Key of session passwords. Without it the server makes passwords in Apache ZooKeeper's way: it can take over
    /// sessions of such a server, but anyone who knows a session's id can compute its password.
    pub session_secret: Option<SessionSecret>,
    /// Release line to imitate.
    pub compat: Compat,
    /// Allows nodes with a time to live (`extendedTypesEnabled`).
    pub extended_types: bool,
    /// Stores access control lists without checking them (`skipACL`).
    pub skip_acl: bool,
    /// Digest id (`super:hash`) with all permissions (`DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<String>,
    /// Users who can authenticate with SASL; `None` if the server has no SASL.
    pub sasl_users: Option<SaslUsers>,
    /// Knows the `sasl` scheme in ACLs (`authProvider.…=…SASLAuthenticationProvider`).
    pub sasl_scheme: bool,
    /// SASL users with all permissions (`superUser`).
    pub sasl_super_users: Vec<String>,
    /// Keeps the connection of a client that fails to authenticate with SASL (`allowSaslFailedClients`).
    pub allow_sasl_failed_clients: bool,
    /// SASL user for whom every other one is taken, too (`letAnySaslUserDoX`).
    pub any_sasl_user: Option<String>,
    /// Schemes of which a connection must have an identity before its first request other than auth and sasl; without any,
    /// none is needed (`enforce.auth.schemes`, `sessionRequireClientSASLAuth`).
    pub required_schemes: Vec<String>,
    /// Key of the nonces for SASL; derived from the [`seed`](Self::seed) if not set.
    pub nonce_secret: Option<SessionSecret>,
    /// Throttle of new connections.
    pub throttle: Throttle,
    /// The servers of an ensemble give sessions of their own, which the others do not know.
    pub local_sessions: bool,
    /// A session of a server's own becomes one of all when it creates an ephemeral node; otherwise it may not.
    pub local_session_upgrades: bool,
    /// Emits an audit record for each change, as [`Output::Audit`](super::Output::Audit).
    pub audit: bool,
    /// Accepts ACLs of the scheme `x509`, for clients with certificates.
    pub x509: bool,
    /// Name in the certificate that has all permissions (`X509AuthenticationProvider.superUser`).
    pub x509_super_user: Option<String>,
    /// Refuses writes over a quota; otherwise quotas are only counted (`enforceQuota`).
    pub enforce_quota: bool,
    /// Lets clients change the members of an ensemble (`reconfigEnabled`). A single server has none to change, and answers
    /// `UNIMPLEMENTED` instead of `RECONFIG_DISABLED`.
    pub reconfig_enabled: bool,
    /// Interval between checks of containers and nodes with a time to live (`znode.container.checkIntervalMs`).
    pub container_check_interval: Millis,
    /// Maximum length of a reply to a `multiRead` in bytes, with its length field. A longer reply is not written, and
    /// the request fails with `MARSHALLING_ERROR`. The limit is needed because one such request can ask for the same
    /// large node many times.
    pub max_multi_read: usize,
    /// Maximum length of any reply in bytes, with its length field. A request with a longer reply fails with
    /// `MARSHALLING_ERROR`; a write fails before it is applied. The default is the maximum of the length field.
    pub max_reply: usize,
    /// Maximum length of a transaction in a log, in bytes, with a multi as a whole and `auth` entries of ACLs
    /// expanded. A longer one is refused with `MARSHALLING_ERROR`. The end of a session is then logged without the
    /// list of its nodes.
    pub max_transaction: usize,
    /// Maximum number of identities of a connection. One more is not accepted, and ends the connection with
    /// `AUTH_FAILED`.
    pub max_auth_ids: usize,
    /// Maximum bytes of all identities of a connection, name and hash. Handled as
    /// [`max_auth_ids`](Self::max_auth_ids).
    pub max_auth_id_bytes: usize,
    /// Maximum number of entries in an access control list, with `auth` entries expanded to at most
    /// [`max_auth_ids`](Self::max_auth_ids). A longer list is an `INVALID_ACL`.
    pub max_acl_entries: usize,
    /// Maximum number of watches of a connection. A request for one more fails with `QUOTA_EXCEEDED`; a setWatches
    /// closes the connection.
    pub max_watches: usize,
    /// Maximum bytes of the paths of all watches of a connection. Handled as [`max_watches`](Self::max_watches).
    pub max_watch_bytes: usize,
    /// Maximum bytes that wait to be sent to one connection while it is frozen or slow. Beyond it they are dropped, and
    /// the connection is closed.
    pub max_held: usize,
    /// Emits transactions as [`Output::Persist`](super::Output::Persist). Servers in memory save that work.
    pub transactions: bool,
    /// Number of requests that the [history](super::history) keeps, and of other entries; 0 turns it off.
    pub history: usize,
    /// Maintains the digest of the tree: a checksum over all nodes for logs and snapshots.
    pub digests: bool,
}

impl Config {
    /// Returns the minimum and maximum session timeout that a client can get. Neither exceeds the 24 days that the
    /// protocol can express.
    #[must_use]
    pub fn session_timeout_bounds(&self) -> (Millis, Millis) {
        let ticks = |n| Millis(self.tick.0.saturating_mul(n));
        let longest = Millis(i32::MAX.unsigned_abs().into());
        let (min, max) =
            (self.min_session_timeout.unwrap_or(ticks(2)), self.max_session_timeout.unwrap_or(ticks(20)));
        (min.min(longest), max.min(longest))
    }
}

impl Config {
    /// Returns `true` if a connection must authenticate with SASL.
    pub(crate) fn requires_sasl(&self) -> bool {
        self.required_schemes.iter().any(|scheme| scheme == sasl::SCHEME)
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
            sasl_users: None,
            sasl_scheme: false,
            sasl_super_users: Vec::new(),
            allow_sasl_failed_clients: false,
            any_sasl_user: None,
            required_schemes: Vec::new(),
            nonce_secret: None,
            throttle: Throttle::default(),
            local_sessions: false,
            local_session_upgrades: false,
            audit: false,
            x509: false,
            x509_super_user: None,
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
            max_held: 64 << 20,
            transactions: true,
            history: 0,
            digests: false,
        }
    }
}
