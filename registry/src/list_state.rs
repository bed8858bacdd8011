//! Progress of the list of a node's children. Pure.

/// State of the list that a follower of a node's children keeps up to date.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ListState {
    Wanted,
    /// `again` if another list is wanted after this one; `current` if it was asked for over the present connection.
    InFlight {
        again: bool,
        current: bool,
    },
    Known,
}

impl ListState {
    /// Returns true if a list has to be asked for, and takes it as asked for.
    pub(crate) fn ask(&mut self) -> bool {
        let is_wanted = *self == Self::Wanted;
        if is_wanted {
            *self = Self::InFlight { again: false, current: true };
        }
        is_wanted
    }

    /// Wants a list, after the present one if that is under way: it may have been answered before the change.
    pub(crate) fn want(&mut self) {
        match self {
            Self::InFlight { again, .. } => *again = true,
            list => *list = Self::Wanted,
        }
    }

    /// Marks a list under way as one of an earlier connection.
    pub(crate) fn outlive(&mut self) {
        if let Self::InFlight { current, .. } = self {
            *current = false;
        }
    }

    /// Takes the answer. Returns true if it is of the present connection.
    pub(crate) fn answered(&mut self) -> bool {
        let Self::InFlight { again, current } = *self else { return false };
        *self = if again { Self::Wanted } else { Self::Known };
        current
    }
}
