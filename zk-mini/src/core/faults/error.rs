//! Reasons why there is no such rule.

use std::fmt;
use std::net::SocketAddr;

use zk_wire::{ErrorCode, EventType, OpCode};

use crate::core::faults::glob::GlobError;

/// Reason why a condition and an effect are not a rule, or a rule is not added.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The path is not a glob.
    #[error(
        "{glob:?} is not a glob: {reason}; it is a path in which `*` stands for any characters within one name, and \
         which may end with `/**` for everything below"
    )]
    Glob {
        /// The text.
        glob: String,
        /// Rule that it breaks.
        reason: GlobError,
    },
    /// There is no operation with this name.
    #[error("{0:?} is no operation; operations are {ops}", ops = Names(OpCode::ALL, |op| op.name().filter(|_| is_sent(op))))]
    NoSuchOperation(String),
    /// The list of operations is empty.
    #[error("a rule needs an operation; use `On::any()` for all")]
    NoOperation,
    /// There is no error code with this name.
    #[error("{0:?} is no error code; codes are {codes}", codes = Names(ErrorCode::ALL, |code| code.name().filter(|_| code != ErrorCode::OK)))]
    NoSuchCode(String),
    /// There is no event with this name.
    #[error(
        "{0:?} is no event; events are NodeCreated, NodeDeleted, NodeDataChanged and NodeChildrenChanged, or `*`"
    )]
    NoSuchEventName(String),
    /// No client sends this operation.
    #[error("{0} is never sent by a client; operations are {ops}", ops = Names(OpCode::ALL, |op| op.name().filter(|_| is_sent(op))))]
    NeverSent(OpCode),
    /// The server sends no event of this kind.
    #[error(
        "the server sends no event {0}, only NodeCreated, NodeDeleted, NodeDataChanged and NodeChildrenChanged"
    )]
    NoSuchEvent(EventType),
    /// The effect does not go with the condition.
    #[error("\"{then}\" does not go with \"{on}\", which can {allowed}")]
    Impossible {
        /// Condition.
        on: String,
        /// Effect.
        then: String,
        /// Effects that go with the condition.
        allowed: &'static str,
    },
    /// The condition has a path, and its cases have none.
    #[error("{0} has no path: only requests and events have")]
    NoPath(String),
    /// A number is at least 1.
    #[error("`{0}` is 0: it is at least 1")]
    Zero(&'static str),
    /// The probability is not from 0 to 1.
    #[error("the probability {0} is not a number from 0 to 1")]
    Probability(f64),
    /// The code is the one of success.
    #[error("OK is no error: name the code to fail with")]
    NoError,
    /// The server does not listen at this address.
    #[error("the server has no listener at {0}")]
    NoSuchListener(SocketAddr),
    /// The server has the maximum number of rules.
    #[error("the server has {0} rules, the maximum: remove some")]
    TooMany(usize),
}

/// Returns `true` if clients send the operation. Unknown codes come, too.
pub(super) fn is_sent(op: OpCode) -> bool {
    !matches!(op, OpCode::NOTIFICATION | OpCode::ERROR)
}

/// List of names.
struct Names<T: 'static>(&'static [T], fn(T) -> Option<&'static str>);

impl<T: Copy> fmt::Display for Names<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.0.iter().filter_map(|value| self.1(*value)).enumerate() {
            write!(f, "{}{name}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
