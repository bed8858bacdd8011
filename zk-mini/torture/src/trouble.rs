//! Ends of a day that is not clean.

use std::fmt;

/// Reason for which a day did not end well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// The requirement does not hold: what happened instead.
    Failed(String),
    /// The day could not be played, because the command did not work before anything bad was done.
    NotReady(String),
    /// The command does not play the role.
    NotPlayed,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::NotReady(text) => f.write_str(text),
            Self::NotPlayed => f.write_str("the command does not play this role"),
        }
    }
}
