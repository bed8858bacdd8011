//! Effects of rules.

use std::fmt;
use std::time::Duration;

use zk_wire::ErrorCode;

use crate::core::faults::error::RuleError;

/// Effect of a [`Rule`](super::Rule) that fires.
///
/// *Before applying* means as if the request had not arrived: it is no sign of life of its session either. *Applied*
/// means that everything has happened that the request asks for: its transaction is stored, and other clients get
/// their events.
///
/// | effect | request | handshake | event | expiry |
/// | --- | --- | --- | --- | --- |
/// | [`fail`](Self::fail) | yes | `createSession` only | | |
/// | [`disconnect`](Self::disconnect), [`apply_and_lose_reply`](Self::apply_and_lose_reply) | yes | yes | | |
/// | [`be_silent`](Self::be_silent), [`apply_and_be_silent`](Self::apply_and_be_silent) | yes | yes | | |
/// | [`delay`](Self::delay) | yes | yes | yes | |
/// | [`apply_and_delay_reply`](Self::apply_and_delay_reply), [`slow`](Self::slow) | yes | yes | | |
/// | [`refuse`](Self::refuse) | | yes | | |
/// | [`drop_event`](Self::drop_event) | | | yes | |
/// | [`hold_ephemerals`](Self::hold_ephemerals) | | | | yes |
///
/// Delays are rounded up to milliseconds of the server's clock, and one of zero does nothing. Removing a rule releases
/// nothing that it holds, except that a slow connection is fast at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Then {
    /// See [`fail`](Self::fail).
    Fail(ErrorCode),
    /// See [`disconnect`](Self::disconnect).
    Disconnect,
    /// See [`apply_and_lose_reply`](Self::apply_and_lose_reply).
    LoseReply,
    /// See [`be_silent`](Self::be_silent).
    Silent,
    /// See [`apply_and_be_silent`](Self::apply_and_be_silent).
    SilentAfter,
    /// See [`refuse`](Self::refuse).
    Refuse,
    /// See [`drop_event`](Self::drop_event).
    DropEvent,
    /// See [`delay`](Self::delay).
    Delay(Duration),
    /// See [`apply_and_delay_reply`](Self::apply_and_delay_reply).
    DelayReply(Duration),
    /// See [`hold_ephemerals`](Self::hold_ephemerals).
    HoldEphemerals(Duration),
    /// See [`slow`](Self::slow).
    Slow {
        /// Time that every frame takes in addition.
        latency: Duration,
        /// Maximum number of bytes per second in each direction, without a limit if `None`.
        bytes_per_second: Option<u64>,
    },
}

impl Then {
    /// Answers with an error code, without applying the request and without a zxid for it. A multi fails as a whole, with
    /// the code in its header. A handshake has no code: the client is told that its session has expired.
    ///
    /// ```
    /// use zk_mini::{On, Rule, Then};
    /// use zk_wire::ErrorCode;
    ///
    /// let rule = Rule::new(On::create("/a"), Then::fail(ErrorCode::NO_NODE))?;
    /// assert_eq!(rule.to_string(), "create of /a: fail with NONODE");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn fail(code: ErrorCode) -> Self {
        Self::Fail(code)
    }

    /// Fails with the code of this name in ZooKeeper's `KeeperException.Code`; see [`fail`](Self::fail).
    ///
    /// # Errors
    /// [`RuleError::NoSuchCode`], with all names.
    ///
    /// ```
    /// use zk_mini::Then;
    /// use zk_wire::ErrorCode;
    ///
    /// assert_eq!(Then::fail_named("NONODE")?, Then::fail(ErrorCode::NO_NODE));
    /// assert!(Then::fail_named("NO_NODE").unwrap_err().to_string().contains("NONODE"));
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    pub fn fail_named(name: &str) -> Result<Self, RuleError> {
        ErrorCode::named(name).map(Self::Fail).ok_or_else(|| RuleError::NoSuchCode(name.into()))
    }

    /// Closes the connection before applying. The session lives on.
    ///
    /// ```
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let rule = Rule::new(On::any().nth(3), Then::disconnect())?;
    /// assert_eq!(rule.to_string(), "any request, the 3rd: close the connection before applying");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn disconnect() -> Self {
        Self::Disconnect
    }

    /// Applies the request, then closes the connection instead of sending the reply: the client cannot know what
    /// happened.
    ///
    /// ```
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let rule = Rule::new(On::create("/demo/**").nth(1), Then::apply_and_lose_reply())?;
    /// assert_eq!(rule.to_string(), "create of /demo/**, the 1st: apply, then close the connection without the reply");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn apply_and_lose_reply() -> Self {
        Self::LoseReply
    }

    /// Ignores the request. The connection stays, and later requests on it are answered. Most clients expect replies in
    /// the order of their requests: the next reply makes them close the connection.
    ///
    /// ```
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let rule = Rule::new(On::sync("/"), Then::be_silent())?;
    /// assert_eq!(rule.to_string(), "sync of /: be silent before applying");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn be_silent() -> Self {
        Self::Silent
    }

    /// Applies the request and sends no reply. The connection stays, and later requests on it are answered, unless
    /// its session has ended.
    ///
    /// ```
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let rule = Rule::new(On::delete("/a"), Then::apply_and_be_silent())?;
    /// assert_eq!(rule.to_string(), "delete of /a: apply, then be silent");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn apply_and_be_silent() -> Self {
        Self::SilentAfter
    }

    /// Refuses a handshake. With [`On::connect`](super::On::connect) the connection is closed without an answer; with
    /// [`On::reattach`](super::On::reattach) the client is told that its session has expired, while the session lives.
    ///
    /// ```
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let rule = Rule::new(On::reattach().times(1), Then::refuse())?;
    /// assert_eq!(rule.to_string(), "re-attach, once: refuse");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn refuse() -> Self {
        Self::Refuse
    }

    /// Does not send the event. Its watch is used up, so the client hears nothing until it watches again.
    ///
    /// ```
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let rule = Rule::new(On::any_event("/members").nth(1), Then::drop_event())?;
    /// assert_eq!(rule.to_string(), "any event at /members, the 1st: drop the event");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn drop_event() -> Self {
        Self::DropEvent
    }

    /// Handles the request, or the handshake, as if it arrived later. Whatever the same connection sends behind it waits,
    /// too; no other connection does. It is applied even if its connection has gone meanwhile, like one in the queue of
    /// a real server, but not if its session has ended, or has come back on another connection: a client that has come back
    /// has seen whether it was applied.
    ///
    /// A handshake that is late by more than ten to twenty seconds finds its connection closed, as by ZooKeeper.
    ///
    /// An event is sent later, and so is everything that the server sends to that connection behind it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let rule = Rule::new(On::create("/a"), Then::delay(Duration::from_millis(500)))?;
    /// assert_eq!(rule.to_string(), "create of /a: delay by 500ms");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn delay(by: Duration) -> Self {
        Self::Delay(by)
    }

    /// Applies the request, or the handshake, at once, and sends the reply later, unchanged. Everything that the server
    /// sends to that connection behind the reply waits, too.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let rule = Rule::new(On::any().every(2), Then::apply_and_delay_reply(Duration::from_secs(3)))?;
    /// assert_eq!(rule.to_string(), "any request, each 2nd: apply, then delay the reply by 3s");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn apply_and_delay_reply(by: Duration) -> Self {
        Self::DelayReply(by)
    }

    /// Leaves the nodes of an expired session in place for a time: the gap between the end of a session and the deletion
    /// of its ephemeral nodes. The session is gone at once: its connection is closed, it is not listed, and nobody can
    /// resume it. Its nodes keep their owner, and go in one transaction at the end of the time.
    ///
    /// No transaction tells of the end of the session before that. So after a restart that reads the state from a disk,
    /// and in a snapshot, the session is alive.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use zk_client::{Client, CreateMode};
    /// use zk_mini::{On, Then, ZkMini};
    ///
    /// let zk = ZkMini::builder().manual_clock().start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// client.create("/leader", "", CreateMode::Ephemeral).await?;
    ///
    /// let _gap = zk.fault(On::expiry(), Then::hold_ephemerals(Duration::from_secs(30)));
    /// zk.session_of("/leader").ok_or("nobody leads")?.expire().await;
    /// assert!(zk.get("/leader").is_some(), "the session is gone, its node is not");
    /// zk.advance(Duration::from_secs(30)).await;
    /// assert!(zk.get("/leader").is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn hold_ephemerals(by: Duration) -> Self {
        Self::HoldEphemerals(by)
    }

    /// Gives the connection a slow link from this frame on, in both directions, until the rule is removed: frames take
    /// `latency` longer, and follow each other at `bytes_per_second`, or as fast as they can with `None`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let modem = Rule::new(On::connect(), Then::slow(Duration::from_millis(120), 7_000))?;
    /// assert_eq!(modem.to_string(), "connect: a link with 120ms latency and 7000 bytes per second");
    /// let far = Rule::new(On::connect(), Then::slow(Duration::from_millis(120), None))?;
    /// assert_eq!(far.to_string(), "connect: a link with 120ms latency");
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    #[must_use]
    pub fn slow(latency: Duration, bytes_per_second: impl Into<Option<u64>>) -> Self {
        Self::Slow { latency, bytes_per_second: bytes_per_second.into() }
    }
}

/// The effect in a few words.
impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(code) => match code.name() {
                Some(name) => write!(f, "fail with {name}"),
                None => write!(f, "fail with code {}", code.0),
            },
            Self::Disconnect => f.write_str("close the connection before applying"),
            Self::LoseReply => f.write_str("apply, then close the connection without the reply"),
            Self::Silent => f.write_str("be silent before applying"),
            Self::SilentAfter => f.write_str("apply, then be silent"),
            Self::Refuse => f.write_str("refuse"),
            Self::DropEvent => f.write_str("drop the event"),
            Self::Delay(by) => write!(f, "delay by {by:?}"),
            Self::DelayReply(by) => write!(f, "apply, then delay the reply by {by:?}"),
            Self::HoldEphemerals(by) => write!(f, "hold the ephemeral nodes for {by:?}"),
            Self::Slow { latency, bytes_per_second } => {
                write!(f, "a link with {latency:?} latency")?;
                bytes_per_second.map_or(Ok(()), |rate| write!(f, " and {rate} bytes per second"))
            }
        }
    }
}
