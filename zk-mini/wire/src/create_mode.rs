//! Kinds of nodes that a create can make.

/// Kind of node that a create makes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CreateMode {
    /// Stays until a client deletes it.
    Persistent,
    /// Deleted with the session that created it.
    Ephemeral,
    /// Stays until a client deletes it; the parent's counter is appended to its name.
    PersistentSequential,
    /// Deleted with its session; the parent's counter is appended to its name.
    EphemeralSequential,
    /// Deleted by the server some time after its last child.
    Container,
    /// Deleted by the server when it has had no change and no child for its time to live.
    PersistentWithTtl,
    /// Like [`Self::PersistentWithTtl`], with the parent's counter appended to its name.
    PersistentSequentialWithTtl,
}

impl CreateMode {
    /// Returns the mode of flags on the wire; `None` if there is no such mode.
    #[must_use]
    pub fn from_flags(flags: i32) -> Option<Self> {
        Some(match flags {
            0 => Self::Persistent,
            1 => Self::Ephemeral,
            2 => Self::PersistentSequential,
            3 => Self::EphemeralSequential,
            4 => Self::Container,
            5 => Self::PersistentWithTtl,
            6 => Self::PersistentSequentialWithTtl,
            _ => return None,
        })
    }

    /// Returns the flags as on the wire.
    #[must_use]
    pub fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::PersistentSequential => 2,
            Self::EphemeralSequential => 3,
            Self::Container => 4,
            Self::PersistentWithTtl => 5,
            Self::PersistentSequentialWithTtl => 6,
        }
    }

    /// Returns `true` if the node belongs to its session.
    #[must_use]
    pub fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// Returns `true` if the parent's counter is appended to the name.
    #[must_use]
    pub fn is_sequential(self) -> bool {
        matches!(
            self,
            Self::PersistentSequential | Self::EphemeralSequential | Self::PersistentSequentialWithTtl
        )
    }

    /// Returns `true` if the node has a time to live.
    #[must_use]
    pub fn has_ttl(self) -> bool {
        matches!(self, Self::PersistentWithTtl | Self::PersistentSequentialWithTtl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_modes_are_the_same_table() {
        for flags in 0..=6 {
            assert_eq!(CreateMode::from_flags(flags).map(CreateMode::flags), Some(flags));
        }
        assert_eq!(CreateMode::from_flags(7), None);
        assert_eq!(CreateMode::from_flags(-1), None);
    }
}
