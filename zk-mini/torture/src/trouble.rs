//! Ends of a day that is not clean.

use zk_mini::{RestoreError, WriteError};

/// Reason for which a day did not end well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// The requirement does not hold: what happened instead.
    Failed(String),
    /// The day could not be played, because the command did not work before anything bad was done.
    NotReady(String),
    /// The command does not play the role, or works in a way that this day does not meet: the reason.
    NotPlayed(String),
}

/// A direct write has failed: the node is not where the day left it.
impl From<WriteError> for Trouble {
    fn from(error: WriteError) -> Self {
        Self::NotReady(format!("the day could not be played: {error}"))
    }
}

/// The server cannot be put into another state.
impl From<RestoreError> for Trouble {
    fn from(error: RestoreError) -> Self {
        Self::NotReady(format!("the day could not be played: {error}"))
    }
}
