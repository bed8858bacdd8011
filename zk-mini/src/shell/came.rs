//! Origins of connections.

/// Way in which a connection came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Came {
    /// To this listening socket.
    ToSocket(usize),
    /// In this process, to a server of an ensemble.
    ToServer(usize),
    /// In this process, or over a stream of the caller's.
    Anywhere,
}
