//! Roles of a process under torture. Pure.

use std::fmt;

/// Part that a process plays.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Registers an instance, for as long as the process lives.
    Register,
    /// Follows the instances of a service.
    Discover,
    /// Gets a lock, or leads, and holds on to it.
    Lock,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Register, Self::Discover, Self::Lock];

    /// Returns the name, as in `ZK_MINI_ROLE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Discover => "discover",
            Self::Lock => "lock",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
