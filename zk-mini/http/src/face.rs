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

impl Face {
    /// Returns the path of the AdminServer's commands, with a slash before it and none behind; empty at the root.
    pub(crate) fn commands(&self) -> Option<String> {
        let path = match self {
            Self::Full => "/commands",
            Self::Admin { commands, .. } => commands.as_deref()?,
        };
        let path = path.trim_matches('/');
        Some(if path.is_empty() { String::new() } else { format!("/{path}") })
    }
}
