//! The inputs and the outputs of the core.

use super::child::{ChildId, Exit};
use super::report::Report;
use super::request::{Request, Stop};

/// An event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Input {
    /// The parent has got a signal, or stops for a reason of its own.
    Request(Request),
    /// An [`Output::Spawn`], [`Output::Help`] or [`Output::Upgrade`] failed, for this reason.
    ForkFailed(ChildId, String),
    /// The child has been reaped.
    Exited(ChildId, Exit),
    /// The worker, or the new program, serves.
    Ready(ChildId),
    /// The worker has sent something.
    Heard(ChildId),
    /// The worker has replaced its note; false if the new one is empty.
    Noted(ChildId, bool),
    /// This signal has suspended the child; `None` when it runs again.
    Suspended(ChildId, Option<i32>),
    /// The worker asks to be replaced.
    Retire(ChildId),
    /// The worker has this much resident memory, in bytes.
    Memory(ChildId, u64),
    /// Time has passed. Every message that has arrived so far must have been handed in before: only this input makes a
    /// silent worker count as hung.
    Timeout,
}

/// A thing for the shell to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// Fork a worker; see [`Worker::is_urgent`](crate::Worker::is_urgent).
    Spawn { id: ChildId, slot: u32, urgent: bool },
    /// Start the new program; it takes over once it is ready.
    Upgrade(ChildId),
    /// Forget the new program: it is on its own from now on.
    HandOver(ChildId),
    /// Fork a helper that runs the user's hook with the note of `dead`.
    Help { id: ChildId, dead: ChildId },
    /// Close the listeners: no worker will be started any more. Given once, when the service begins to stop.
    CloseListeners,
    /// Ask a living worker, or the new program, to stop.
    Stop(ChildId, Stop),
    /// Abort a hung worker, so that it shows where it hangs.
    Abort(ChildId),
    /// Kill a living child and its process group.
    Kill(ChildId),
    /// Run the user's hook for readiness; given once.
    AllReady,
    /// Pass `USR1` on to a living worker.
    PassOnUsr1(ChildId),
    /// Run the user's hook for `USR1`.
    Usr1Hook,
    /// Make the end of this worker, which has just died or could not be forked, the result of the whole service: no worker boots.
    GiveUp(ChildId),
    /// Log a transition.
    Report(Report),
    /// End: no child is left.
    Exit,
}
