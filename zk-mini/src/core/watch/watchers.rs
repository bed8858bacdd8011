//! Watchers of one path: connections with the modes of their watches.

use std::collections::BTreeMap;

use crate::core::message::ConnId;

/// Duration and reach of a watch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WatchMode {
    /// One event.
    Standard,
    /// All events of the node, until the watch is removed.
    Persistent,
    /// All events of the node and the nodes below it, until the watch is removed.
    Recursive,
}

/// Modes of a connection's watches on one path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Modes(u8);

impl Modes {
    pub(crate) fn of(mode: WatchMode) -> Self {
        Self(match mode {
            WatchMode::Standard => 1,
            WatchMode::Persistent => 2,
            WatchMode::Recursive => 4,
        })
    }

    pub(crate) fn has(self, mode: WatchMode) -> bool {
        self.0 & Self::of(mode).0 != 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

/// Watchers of a path, in the order of connections. Most paths have one, which takes no memory of its own.
#[derive(Debug)]
pub(crate) enum Watchers {
    One(ConnId, Modes),
    Many(BTreeMap<ConnId, Modes>),
}

impl Watchers {
    pub(crate) fn get(&self, conn: ConnId) -> Option<Modes> {
        match self {
            Self::One(only, modes) => (*only == conn).then_some(*modes),
            Self::Many(many) => many.get(&conn).copied(),
        }
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Modes> {
        match self {
            Self::One(only, modes) => (*only == conn).then_some(modes),
            Self::Many(many) => many.get_mut(&conn),
        }
    }

    /// Returns the modes of a connection, which is added without any if it is new.
    pub(crate) fn entry(&mut self, conn: ConnId) -> &mut Modes {
        if let Self::One(only, modes) = self
            && *only != conn
        {
            *self = Self::Many(BTreeMap::from([(*only, *modes)]));
        }
        match self {
            Self::One(_, modes) => modes,
            Self::Many(many) => many.entry(conn).or_default(),
        }
    }

    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Modes> {
        match self {
            Self::One(only, modes) if *only == conn => {
                let modes = *modes;
                *self = Self::Many(BTreeMap::new());
                Some(modes)
            }
            Self::One(..) => None,
            Self::Many(many) => many.remove(&conn),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Many(many) if many.is_empty())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, Modes)> {
        let (one, many) = match self {
            Self::One(conn, modes) => (Some((*conn, *modes)), None),
            Self::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flatten().map(|(conn, modes)| (*conn, *modes)))
    }

    /// Keeps the watchers that `keeps` returns `true` for.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(ConnId, &mut Modes) -> bool) {
        match self {
            Self::One(conn, modes) => {
                if !keeps(*conn, modes) {
                    *self = Self::Many(BTreeMap::new());
                }
            }
            Self::Many(many) => many.retain(|conn, modes| keeps(*conn, modes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn watchers_are_those_of_a_map(acts in prop::collection::vec((0_u8..4, 0_u64..3), 1..30)) {
            let standard = Modes::of(WatchMode::Standard);
            let mut watchers = Watchers::One(ConnId(0), standard);
            let mut model = BTreeMap::from([(ConnId(0), standard)]);
            for (act, conn) in acts {
                let conn = ConnId(conn);
                match act {
                    0 => {
                        let modes = watchers.entry(conn);
                        *modes = modes.with(standard);
                        model.insert(conn, standard);
                    }
                    1 => prop_assert_eq!(watchers.remove(conn), model.remove(&conn)),
                    2 => {
                        watchers.retain(|other, _| other != conn);
                        model.retain(|other, _| *other != conn);
                    }
                    _ => prop_assert_eq!(watchers.get_mut(conn).copied(), model.get(&conn).copied()),
                }
                prop_assert_eq!(watchers.get(conn), model.get(&conn).copied());
                prop_assert_eq!(watchers.is_empty(), model.is_empty());
                prop_assert!(watchers.iter().eq(model.iter().map(|(conn, modes)| (*conn, *modes))));
            }
        }
    }
}
