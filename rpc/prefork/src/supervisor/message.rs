//! What goes into the core and what comes out of it.

use std::fmt;

use super::{ChildId, Report};
use crate::millis::Millis;

/// What the parent is asked for, as a rule by a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Request {
    Terminate,
    Interrupt,
    Quit,
    /// Replace all workers, one by one.
    Reload,
    /// One worker more.
    More,
    /// One worker less.
    Fewer,
    /// Run the user's hook.
    User,
    /// Start the program anew and leave the service to it.
    Upgrade,
    /// Not a signal: the parent has found that it must not fork any more.
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
            Self::User => "SIGUSR1",
            Self::Upgrade => "SIGUSR2",
            Self::CannotFork => "cannot fork any more",
        })
    }
}

/// How a worker is asked to leave.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stop {
    /// Finish what runs, take nothing new (`TERM`; also what the kernel sends when the parent was killed).
    Graceful,
    /// Say goodbye and leave, whatever runs (`QUIT` or `INT`).
    Quick,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// It ended by itself with this status; 0 means that it said goodbye properly, if it was asked to leave.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Input {
    /// The parent got a signal.
    Signal(Request),
    /// A [`Output::Spawn`], [`Output::Help`] or [`Output::Upgrade`] could not be performed, and why.
    ForkFailed(ChildId, String),
    /// The child has been reaped.
    Exited(ChildId, Exit),
    /// The worker, or the new program, serves.
    Ready(ChildId),
    /// The worker is alive.
    Heard(ChildId),
    /// The worker left a note for the case of its death, or took it back.
    Noted(ChildId, bool),
    /// Somebody has stopped the child by this signal, or continued it.
    Suspended(ChildId, Option<i32>),
    /// The worker asks to be replaced.
    Tired(ChildId),
    /// The worker has so many bytes of memory.
    Memory(ChildId, u64),
    /// Time has passed, and everything that workers said until now has been told: only now may one count as hung.
    Timeout,
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// Fork a worker. It is `urgent` if its place is empty in a service that has served.
    Spawn { id: ChildId, slot: u32, urgent: bool },
    /// Start the program anew; it takes over when it says that it is ready.
    Upgrade(ChildId),
    /// From now on the new program is on its own: no child of ours any more.
    HandOver(ChildId),
    /// Fork a helper that runs the user's hook with the note of `dead`.
    Help { id: ChildId, dead: ChildId },
    /// Ask a living worker, or the new program, to leave.
    Stop(ChildId, Stop),
    /// Make a hung worker show where it hangs.
    Abort(ChildId),
    /// End a living child and its process group now.
    Kill(ChildId),
    /// Tell the user that all workers are ready; once.
    AllReady,
    /// Tell a living worker of the user's own signal.
    PassOn(ChildId),
    /// Run the user's hook for its own signal.
    UserHook,
    /// This worker, just dead, was the last that could not boot: that is the result of it all.
    GiveUp(ChildId),
    /// Log a transition.
    Report(Report),
    /// Nothing is left to supervise.
    Exit,
}

/// The rules, as numbers.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: u32,
    pub(crate) grace: Millis,
    pub(crate) quick_grace: Millis,
    pub(crate) backoff_min: Millis,
    pub(crate) backoff_max: Millis,
    pub(crate) healthy_after: Millis,
    pub(crate) boot_failures: u32,
    pub(crate) boot_timeout: Option<Millis>,
    pub(crate) heartbeat_timeout: Option<Millis>,
    pub(crate) max_age: Option<Millis>,
    pub(crate) max_memory: Option<u64>,
    pub(crate) helper_timeout: Millis,
    pub(crate) upgrade_timeout: Millis,
    /// Whether there is a hook to run for a dead worker.
    pub(crate) helpers: bool,
    pub(crate) seed: u64,
}
