//! Number of answers by operation and kind: it shows the quality of random scripts.

use std::collections::BTreeMap;
use std::fmt;

use zk_wire::{EventType, OpCode};

use super::generate;
use super::record::{FieldValue, Received};
use super::runner::Transcript;
use super::script::Action;

/// Operations that no random script can have success with: `check` is only for multis, nobody may reconfigure, 999 is unknown.
const NEVER_DONE: &[OpCode] = &[OpCode::CHECK, OpCode::RECONFIG, OpCode(999)];

/// Operations that are never refused: they read no field, or random scripts do not spoil them.
const NEVER_REFUSED: &[OpCode] =
    &[OpCode::PING, OpCode::WHO_AM_I, OpCode::CREATE_SESSION, OpCode::CLOSE_SESSION];

/// Other answers that random scripts must reach.
const ANSWERS: &[(&str, &str)] = &[
    ("connect", "connected"),
    ("connect", "closed"),
    ("connect", "another closed"),
    ("frame", "closed"),
    ("bytes", "closed"),
    ("multi", "failed"),
    ("multiRead", "failed"),
];

/// Events that a write must cause. (Requests that set watches again report missed ones.)
const EVENTS: &[EventType] = &[
    EventType::NODE_CREATED,
    EventType::NODE_DELETED,
    EventType::NODE_DATA_CHANGED,
    EventType::NODE_CHILDREN_CHANGED,
];

/// Counts of answers.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    answers: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Coverage {
    /// Counts the answers of a transcript.
    pub fn add(&mut self, transcript: &Transcript) {
        for (step, record) in &transcript.steps {
            let action = match &step.action {
                Action::Connect(_) => "connect".into(),
                Action::Request { op, .. } => op.to_string(),
                Action::Frame(_) => "frame".into(),
                Action::Bytes(_) => "bytes".into(),
                Action::Disconnect => "disconnect".into(),
            };
            let counts = self.answers.entry(action).or_default();
            for (conn, received) in &record.received {
                let what = match received {
                    Received::Reply { body, .. } if *conn == step.conn && has_failed(body) => "failed".into(),
                    Received::Reply { err, .. } if *conn == step.conn => err.0.to_string(),
                    Received::Event { event, .. } => event.to_string(),
                    Received::Closed if *conn == step.conn => "closed".into(),
                    Received::Closed => "another closed".into(),
                    Received::Connected { .. } => "connected".into(),
                    Received::Nothing => "no answer".into(),
                    Received::NotConnected => continue,
                    Received::Reply { .. } | Received::Garbage(_) => "odd".into(),
                };
                *counts.entry(what).or_default() += 1;
            }
        }
    }

    /// Adds the counts of other scripts.
    pub fn merge(&mut self, other: &Self) {
        for (action, counts) in &other.answers {
            let sums = self.answers.entry(action.clone()).or_default();
            for (what, count) in counts {
                *sums.entry(what.clone()).or_default() += count;
            }
        }
    }

    /// Returns what random scripts must reach and these have not: a success and an error of each operation, as far as there
    /// are both, and each type of event.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for op in generate::operations() {
            let name = op.to_string();
            if !NEVER_DONE.contains(&op) && !self.has(&name, is_success) {
                missing.push(format!("a success of {name}"));
            }
            if !NEVER_REFUSED.contains(&op) && !self.has(&name, is_error) {
                missing.push(format!("an error of {name}"));
            }
        }
        for (action, answer) in ANSWERS {
            if !self.has(action, |what| what == *answer) {
                missing.push(format!("{action}: {answer}"));
            }
        }
        let again = [OpCode::SET_WATCHES, OpCode::SET_WATCHES2].map(|op| op.to_string());
        for event in EVENTS.iter().map(ToString::to_string) {
            let mut writes = self.answers.iter().filter(|(action, _)| !again.contains(action));
            if !writes.any(|(_, counts)| counts.contains_key(&event)) {
                missing.push(format!("the event {event}"));
            }
        }
        missing
    }

    fn has(&self, action: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
        self.answers.get(action).is_some_and(|counts| counts.keys().any(|what| is_wanted(what)))
    }
}

/// Returns true for the results of a multi of which one is an error.
fn has_failed(body: &[FieldValue]) -> bool {
    let [FieldValue::List(results), ..] = body else { return false };
    let mut results = results.iter();
    results.any(|result| {
        matches!(result, FieldValue::Group(fields) if fields.starts_with(&[FieldValue::Op(-1), FieldValue::Int(0)]))
    })
}

fn is_success(what: &str) -> bool {
    matches!(what, "0" | "connected")
}

fn is_error(what: &str) -> bool {
    what == "closed" || what.parse().is_ok_and(|code: i32| code != 0)
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (action, counts) in &self.answers {
            write!(f, "{action:22}")?;
            for (what, count) in counts {
                write!(f, " {what}: {count}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_script_reaches_is_named() {
        let mut coverage = Coverage::default();
        let mut count = |action: &str, what: &str| {
            coverage.answers.entry(action.into()).or_default().insert(what.into(), 1);
        };
        count("create", "-101");
        count("createTTL", "0");
        count("setData", "NodeDataChanged");
        count("setWatches", "NodeDeleted");
        let missing = coverage.missing();
        let is_missing = |what: &str| missing.iter().any(|missing| missing == what);
        assert!(is_missing("a success of create") && !is_missing("an error of create"));
        assert!(!is_missing("a success of createTTL") && is_missing("an error of createTTL"));
        assert!(!is_missing("the event NodeDataChanged") && is_missing("the event NodeDeleted"));
        assert!(is_missing("multi: failed") && !is_missing("an error of ping"));
    }
}
