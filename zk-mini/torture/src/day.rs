//! Bad days as rows of a table.

use std::fmt;
use std::pin::Pin;

use crate::role::Role;
use crate::stage::Stage;
use crate::trouble::Trouble;

/// Weight of a finding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The client breaks its promise: it is lost for others, is there twice, believes the wrong thing for ever.
    Bug,
    /// The client works, and could do better; there are reasons for either behaviour.
    Advice,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bug => "bug",
            Self::Advice => "advice",
        })
    }
}

/// A bad day: what is done to a client, and what a good one does.
#[derive(Debug)]
#[non_exhaustive]
pub struct Day {
    /// Name of the day, as in `--only`.
    pub name: &'static str,
    /// Role that is judged.
    pub role: Role,
    /// Weight of a failure.
    pub severity: Severity,
    /// Harm that is done.
    pub plays: &'static str,
    /// Behaviour of a good client.
    pub requires: &'static str,
    /// Occasion in real life, and the usual mistake.
    pub why: &'static str,
    pub(crate) run: Run,
}

impl Day {
    /// Returns a row for the days of a role, bugs unless a day says otherwise. Each day fills in its texts and what plays it.
    pub(crate) const fn of(role: Role, run: Run) -> Self {
        Self { name: "", role, severity: Severity::Bug, plays: "", requires: "", why: "", run }
    }
}

/// Plays a day. It ends with the trouble that it finds.
pub(crate) type Run = for<'a> fn(&'a mut Stage) -> Playing<'a>;

pub(crate) type Playing<'a> = Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + 'a>>;
