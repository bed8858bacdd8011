//! Errors of a run.

/// Reason for which a run did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name is not that of a day.
    #[error("there is no day {0:?}: `zk-mini torture --list` names them all")]
    NoSuchDay(String),
    /// The command has no words.
    #[error("there is no command to run")]
    NoCommand,
}
