//! Rules: a condition and its effect, checked together.

use std::fmt;

use zk_wire::{ErrorCode, EventType};

use crate::core::faults::error::{RuleError, is_sent};
use crate::core::faults::glob::Glob;
use crate::core::faults::on::{CaseKind, On};
use crate::core::faults::then::Then;

/// Rule of faults: when something happens, then the server misbehaves so.
///
/// ```
/// use zk_mini::{On, Rule, Then};
///
/// let rule = Rule::new(On::create("/demo/**").nth(1), Then::apply_and_lose_reply())?;
/// let refused = Rule::new(On::expiry(), Then::drop_event());
/// assert!(refused.unwrap_err().to_string().contains("drop the event"));
/// # Ok::<(), zk_mini::RuleError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    on: On,
    then: Then,
    glob: Option<Glob>,
}

impl Rule {
    /// Puts a condition and an effect together.
    ///
    /// # Errors
    /// [`RuleError`] if they do not go together, or if one of them is impossible.
    pub fn new(on: On, then: Then) -> Result<Self, RuleError> {
        match &on.kind {
            CaseKind::Request(ops) if ops.is_empty() => return Err(RuleError::NoOperation),
            CaseKind::Request(ops) => {
                if let Some(op) = ops.iter().find(|op| !is_sent(**op)) {
                    return Err(RuleError::NeverSent(*op));
                }
            }
            CaseKind::Event(Some(kind)) if !is_told(*kind) => return Err(RuleError::NoSuchEvent(*kind)),
            CaseKind::Connect | CaseKind::Reattach | CaseKind::Expiry if on.path.is_some() => {
                return Err(RuleError::NoPath(on.kind.to_string()));
            }
            _ => {}
        }
        for (name, number) in [("nth", on.nth), ("every", on.every), ("times", on.times)] {
            if number == Some(0) {
                return Err(RuleError::Zero(name));
            }
        }
        if let Some((p, _)) = on.probability
            && !(0.0..=1.0).contains(&p)
        {
            return Err(RuleError::Probability(p));
        }
        match then {
            Then::Fail(ErrorCode::OK) => return Err(RuleError::NoError),
            Then::Slow { bytes_per_second: Some(0), .. } => return Err(RuleError::Zero("bytes_per_second")),
            _ => {}
        }
        let (possible, allowed) = effects(&on.kind, then);
        if !possible {
            return Err(RuleError::Impossible { on: on.kind.to_string(), then: then.to_string(), allowed });
        }
        let glob = match &on.path {
            Some(glob) => {
                let error = |reason| RuleError::Glob { glob: glob.clone(), reason };
                Some(Glob::new(glob).map_err(error)?)
            }
            None => None,
        };
        Ok(Self { on, then, glob })
    }

    /// Returns the condition.
    #[must_use]
    pub fn on(&self) -> &On {
        &self.on
    }

    /// Returns the effect.
    #[must_use]
    pub fn then(&self) -> Then {
        self.then
    }

    pub(crate) fn glob(&self) -> Option<&Glob> {
        self.glob.as_ref()
    }
}

/// The rule in a sentence.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.on, self.then)
    }
}

/// Returns `true` if the effect goes with the kind of case, and the effects that do.
fn effects(kind: &CaseKind, then: Then) -> (bool, &'static str) {
    match kind {
        CaseKind::Request(_) | CaseKind::AnyRequest => (
            !matches!(then, Then::Refuse | Then::DropEvent | Then::HoldEphemerals(_)),
            "fail, be delayed, come over a slow link, be lost with its connection, or find silence",
        ),
        CaseKind::Event(_) => (matches!(then, Then::DropEvent | Then::Delay(_)), "be dropped or delayed"),
        CaseKind::Connect | CaseKind::Reattach => (
            !matches!(then, Then::Fail(_) | Then::DropEvent | Then::HoldEphemerals(_)),
            "be refused, be delayed, come over a slow link, be lost with its connection, or find silence",
        ),
        CaseKind::Expiry => (matches!(then, Then::HoldEphemerals(_)), "hold the ephemeral nodes"),
    }
}

/// Returns `true` if watchers are told of events of this kind.
fn is_told(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::NODE_CREATED
            | EventType::NODE_DELETED
            | EventType::NODE_DATA_CHANGED
            | EventType::NODE_CHILDREN_CHANGED
    )
}
