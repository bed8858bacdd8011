//! The differences between the release lines of Apache ZooKeeper that can be served, as data: the code asks
//! here and nowhere for a version.

/// Which release line of Apache ZooKeeper to be like, where the two in use differ:
///
/// | | 3.8 | 3.9 |
/// | --- | --- | --- |
/// | a write whose body cannot be read | takes a zxid | takes none |
/// | a watch event's zxid | -1 | that of its cause |
/// | a null path inside a multi | leaves a zxid out | takes one |
/// | a multi-read that cannot be read to its end | answers what it has | just the error |
/// | watches of several kinds on one path | the last one replaces the others | add up |
/// | `checkWatches` and `removeWatches` go by | half of the registry, anybody's watches | the kind, own watches |
/// | an ACL of the scheme `ip` | IPv4 | IPv6, too |
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compat {
    /// The line of 3.8.7.
    V3_8,
    /// The line of 3.9.5.
    #[default]
    V3_9,
}

/// How one release line behaves where the others do otherwise. The names say what holds if it is true.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// A write whose body cannot be read takes a zxid all the same.
    pub(crate) unreadable_write_takes_zxid: bool,
    /// Notifications carry the zxid of their cause instead of -1.
    pub(crate) events_carry_zxid: bool,
    /// A null path in a multi takes a zxid that no transaction gets, and the answer has an end marker; so it has for a null
    /// ACL.
    pub(crate) null_in_multi_is_marked: bool,
    /// Several kinds of watches can stand on one path; else the last one replaces the others.
    pub(crate) watch_modes_add_up: bool,
    /// checkWatches and removeWatches go by the exact kind of watch, own ones only.
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
    /// The table of this release line.
    pub(crate) fn rules(self) -> &'static Rules {
        match self {
            Self::V3_8 => &V3_8,
            Self::V3_9 => &V3_9,
        }
    }
}
