//! Requests to the parent, and the parent's requests to workers.

use std::fmt;

/// A request to the parent. Most come as a signal, which `Display` prints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Request {
    Terminate,
    Interrupt,
    Quit,
    /// Replace all workers, one by one.
    Reload,
    /// Add a worker.
    More,
    /// Remove a worker.
    Fewer,
    /// Run the user's hook and pass the signal on to the workers.
    Usr1,
    /// Start the new program and hand the service over to it.
    Upgrade,
    /// Stop, because the parent has threads and must not fork any more. Not a signal.
    CannotFork,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Reload => "SIGHUP",
            Self::More => "SIGTTIN",
            Self::Fewer => "SIGTTOU",
            Self::Usr1 => "SIGUSR1",
            Self::Upgrade => "SIGUSR2",
            Self::CannotFork => "cannot fork any more",
        })
    }
}

/// Request to a worker to exit.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stop {
    /// Finish the running work and take nothing new: `TERM`. The kernel sends it too when the parent is killed.
    Graceful,
    /// Clean up and exit at once, without waiting for running work: `QUIT` or `INT`.
    Quick,
}
