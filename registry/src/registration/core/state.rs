//! States of a registration, and the reasons for them, as its user sees them.

/// State of a [`Registration`](crate::Registration).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RegistrationState {
    /// Not registered yet: that happens as soon as a server is connected.
    Registering,
    /// Others can find the instance, as far as is known: the state stays while no server is connected. Only a server can tell
    /// that the session, and the nodes with it, has ended; then it is [`Self::Reregistering`] at once.
    Registered {
        /// Paths of the nodes, below the chroot: one for each format, in the order of
        /// [`RegisterOptions::codecs`](crate::RegisterOptions::codecs).
        paths: Vec<String>,
    },
    /// Not registered any more. It is registered again, with the newest data, as soon as possible.
    Reregistering(LossReason),
    /// Withdrawn. Final.
    Withdrawn(WithdrawReason),
    /// The registry was closed, or its runtime has ended: the nodes go with the session, at the latest by its timeout. Final.
    Closed,
}

/// Reason why an instance is registered again.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LossReason {
    /// The session expired, and the node went with it.
    SessionExpired,
    /// Another client deleted the node.
    NodeDeleted,
    /// The servers refuse to create the node, for instance because an ACL forbids it. The text is their answer. It is tried
    /// again, after pauses of up to 5 seconds.
    Refused(String),
}

/// Reason why an instance is withdrawn.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WithdrawReason {
    /// The [`Registration`](crate::Registration) was withdrawn, drained or dropped.
    Requested,
    /// A newer instance with the same [id](crate::RegisterOptions::id) has taken the place of this one.
    Replaced,
    /// Another client deleted the node, and [`OnDelete::Drain`] honours that.
    Deleted,
    /// The registration was withdrawn, but the servers refuse to delete the node: it stays until the session ends.
    Refused,
}

/// Answer to the deletion of an instance's node by another client, such as an operator by hand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnDelete {
    /// Registers the instance again: it is alive.
    #[default]
    Restore,
    /// Withdraws the instance: the operator has taken it out of service. Its program sees
    /// [`WithdrawReason::Deleted`] in [`Registration::changed`](crate::Registration::changed), and should finish its work.
    Drain,
}
