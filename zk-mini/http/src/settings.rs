//! Settings of the HTTP side.

/// Settings of the HTTP side. The defaults are for a port on loopback: open to programs of the machine, closed to web pages of
/// others.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Settings {}
