//! The parts that a port serves.

/// Parts that a port serves.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Face {
    /// Everything: the page, control, the AdminServer's commands, metrics.
    Full,
    /// The AdminServer's commands and metrics, as Apache ZooKeeper has them, without control.
    Admin {
        /// Path of the AdminServer's commands, such as `/commands`; `None` to leave them out.
        commands: Option<String>,
        /// True to serve `/metrics`.
        metrics: bool,
    },
}
