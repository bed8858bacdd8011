//! The differences between the release lines of Apache ZooKeeper that can be served, as data: the code asks
//! here and nowhere for a version.

use super::config::Compat;

/// How one release line behaves where the others do otherwise. The names say what holds if it is true.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// A write whose body cannot be read takes a zxid all the same.
    pub(super) unreadable_write_takes_zxid: bool,
    /// Notifications carry the zxid of their cause instead of -1.
    pub(super) events_carry_zxid: bool,
    /// `check` exists outside of a multi too.
    pub(super) lone_check: bool,
    /// `create2` inside a multi is answered with a stat.
    pub(super) create2_in_multi_has_stat: bool,
    /// Creates inside a multi whose flags or ACL make no sense fail the whole request.
    pub(super) strict_creates_in_multi: bool,
    /// A null path in a multi takes a zxid that no transaction gets.
    pub(super) null_path_in_multi_skips_zxid: bool,
    /// Clients may delete containers, and whatever else is no ephemeral, by the server's own operation for that.
    pub(super) clients_delete_containers: bool,
    /// Several kinds of watches can stand on one path; else the last one replaces the others.
    pub(super) watch_modes_add_up: bool,
    /// checkWatches and removeWatches go by the exact kind of watch, own ones only.
    pub(super) watch_types_are_exact: bool,
    /// `exists` needs READ on an existing node.
    pub(super) exists_needs_read: bool,
    /// ACLs of the `ip` scheme may name IPv6 addresses.
    pub(super) ip_acl_takes_v6: bool,
}

const V3_8: Rules = Rules {
    unreadable_write_takes_zxid: true,
    events_carry_zxid: false,
    lone_check: true,
    create2_in_multi_has_stat: false,
    strict_creates_in_multi: false,
    null_path_in_multi_skips_zxid: true,
    clients_delete_containers: false,
    watch_modes_add_up: false,
    watch_types_are_exact: false,
    exists_needs_read: false,
    ip_acl_takes_v6: false,
};

const V3_9: Rules = Rules {
    unreadable_write_takes_zxid: false,
    events_carry_zxid: true,
    lone_check: false,
    create2_in_multi_has_stat: true,
    strict_creates_in_multi: true,
    null_path_in_multi_skips_zxid: false,
    clients_delete_containers: true,
    watch_modes_add_up: true,
    watch_types_are_exact: true,
    exists_needs_read: true,
    ip_acl_takes_v6: true,
};

impl Compat {
    /// The table of this release line.
    pub(super) fn rules(self) -> &'static Rules {
        match self {
            Self::V3_8 => &V3_8,
            Self::V3_9 => &V3_9,
        }
    }
}
