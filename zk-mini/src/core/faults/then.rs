//! Effects of rules.

use std::fmt;

use zk_wire::ErrorCode;

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
/// | [`refuse`](Self::refuse) | | yes | | |
/// | [`drop_event`](Self::drop_event) | | | yes | |
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

    /// Ignores the request. The connection stays, and later requests on it are answered.
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
        }
    }
}
