//! Number of answers by operation and kind: it shows the quality of random scripts.

use std::collections::BTreeMap;
use std::fmt;

use super::record::Received;
use super::runner::Transcript;
use super::script::Action;

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
