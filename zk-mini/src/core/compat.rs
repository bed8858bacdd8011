//! Differences between the release lines of Apache ZooKeeper, as data. The rest of the core reads these rules and
//! never checks a version.

/// Release line of Apache ZooKeeper that the server imitates. The two in use differ as follows:
///
/// | | 3.8 | 3.9 |
/// | --- | --- | --- |
/// | a write with an unreadable body | takes a zxid | takes none |
/// | zxid of a watch event | -1 | zxid of its cause |
/// | a null path in a multi | leaves a zxid unused | takes a zxid |
/// | watches of several kinds on one path | the last replaces the others | all are kept |
/// | `checkWatches` and `removeWatches` match | any kind in a table, also of other connections | the exact kind, own watches |
/// | ACLs of the scheme `ip` | IPv4 | IPv4 and IPv6 |
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compat {
    /// Behaves as 3.8.7.
    V3_8,
    /// Behaves as 3.9.5.
    #[default]
    V3_9,
}

/// Behaviour of one release line where the lines differ. Each name says what happens if the value is `true`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// A write with an unreadable body takes a zxid.
    pub(crate) unreadable_write_takes_zxid: bool,
    /// Watch events carry the zxid of their cause instead of -1.
    pub(crate) events_carry_zxid: bool,
    /// A null path in a multi takes a zxid that no transaction gets, and the reply has an end marker. The reply to a
    /// null ACL has one, too.
    pub(crate) null_in_multi_is_marked: bool,
    /// Watches of several kinds can exist on one path. Otherwise the last one replaces the others.
    pub(crate) watch_modes_add_up: bool,
    /// checkWatches and removeWatches match the exact kind of watch, and only watches of the connection.
    pub(crate) watch_types_are_exact: bool,
    /// ACLs of the `ip` scheme may name IPv6 addresses.
    pub(crate) ip_acl_takes_v6: bool,
}

const V3_8: Rules = Rules {
    unreadable_write_takes_zxid: true,
    events_carry_zxid: false,
    null_in_multi_is_marked: true,
    watch_modes_add_up: false,
    watch_types_are_exact: false,
    ip_acl_takes_v6: false,
};

const V3_9: Rules = Rules {
    unreadable_write_takes_zxid: false,
    events_carry_zxid: true,
    null_in_multi_is_marked: false,
    watch_modes_add_up: true,
    watch_types_are_exact: true,
    ip_acl_takes_v6: true,
};

impl Compat {
    /// Returns the release that the server behaves as: `3.8.7` or `3.9.5`.
    #[must_use]
    pub fn release(self) -> &'static str {
        match self {
            Self::V3_8 => "3.8.7",
            Self::V3_9 => "3.9.5",
        }
    }

    /// Returns the rules of this release line.
    pub(crate) fn rules(self) -> &'static Rules {
        match self {
            Self::V3_8 => &V3_8,
            Self::V3_9 => &V3_9,
        }
    }
}
