//! The commands: their names, and how each is asked for.

use axum::http::Method;
use zk_mini::Compat;

/// Work of a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// Takes the snapshot in the body.
    Restore,
    /// All that takes no body.
    Command(Command),
}

/// A command of the AdminServer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Command {
    Configuration,
    ConnectionStatReset,
    Connections,
    Dirs,
    Dump,
    Environment,
    GetTraceMask,
    Hash,
    InitialConfiguration,
    IsReadOnly,
    LastSnapshot,
    Leader,
    Monitor,
    ObserverConnectionStatReset,
    Observers,
    Ruok,
    ServerStats,
    SetTraceMask,
    Snapshot,
    StatReset,
    Stats,
    SystemProperties,
    VotingView,
    WatchSummary,
    Watches,
    WatchesByPath,
    Zabstate,
}

/// Names and use of a command.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) work: Work,
    /// Name that the list shows.
    pub(super) name: &'static str,
    other_names: &'static [&'static str],
    /// True if 3.8 does not have it.
    is_new: bool,
    /// True if a server that is down answers it, too.
    pub(super) always: bool,
    /// True if it changes something, and must be posted.
    pub(super) changes: bool,
    /// True if it wants credentials that have all permissions on the root.
    pub(super) is_guarded: bool,
}

impl Entry {
    const fn new(command: Command, name: &'static str, other_names: &'static [&'static str]) -> Self {
        Self::of(Work::Command(command), name, other_names)
    }

    const fn of(work: Work, name: &'static str, other_names: &'static [&'static str]) -> Self {
        Self { work, name, other_names, is_new: false, always: false, changes: false, is_guarded: false }
    }

    const fn always(mut self) -> Self {
        self.always = true;
        self
    }

    const fn changes(mut self) -> Self {
        self.changes = true;
        self
    }

    const fn guarded_since_3_9(mut self) -> Self {
        self.is_new = true;
        self.is_guarded = true;
        self
    }

    /// Returns the only method that the command takes.
    pub(super) fn method(&self) -> Method {
        if self.changes { Method::POST } else { Method::GET }
    }
}

/// Returns the commands of a release line, by name.
pub(super) fn all(compat: Compat) -> impl Iterator<Item = &'static Entry> {
    COMMANDS.iter().filter(move |entry| !entry.is_new || compat != Compat::V3_8)
}

/// Returns the command that has one of its names.
pub(super) fn named(name: &str, compat: Compat) -> Option<&'static Entry> {
    all(compat).find(|entry| entry.name == name || entry.other_names.contains(&name))
}

const COMMANDS: &[Entry] = &[
    Entry::new(Command::Configuration, "configuration", &["conf", "config"]),
    Entry::new(Command::ConnectionStatReset, "connection_stat_reset", &["crst"]).changes(),
    Entry::new(Command::Connections, "connections", &["cons"]),
    Entry::new(Command::Dirs, "dirs", &[]),
    Entry::new(Command::Dump, "dump", &[]),
    Entry::new(Command::Environment, "environment", &["env", "envi"]).always(),
    Entry::new(Command::GetTraceMask, "get_trace_mask", &["gtmk"]).always(),
    Entry::new(Command::Hash, "hash", &[]),
    Entry::new(Command::InitialConfiguration, "initial_configuration", &["icfg"]),
    Entry::new(Command::IsReadOnly, "is_read_only", &["isro"]),
    Entry::new(Command::LastSnapshot, "last_snapshot", &["lsnp"]),
    Entry::new(Command::Leader, "leader", &["lead"]),
    Entry::new(Command::Monitor, "monitor", &["mntr"]).always(),
    // Without observers it changes nothing.
    Entry::new(Command::ObserverConnectionStatReset, "observer_connection_stat_reset", &["orst"]),
    Entry::new(Command::Observers, "observers", &["obsr"]),
    Entry::of(Work::Restore, "restore", &["rest"]).changes().guarded_since_3_9(),
    Entry::new(Command::Ruok, "ruok", &[]),
    Entry::new(Command::ServerStats, "server_stats", &["srvr"]),
    Entry::new(Command::SetTraceMask, "set_trace_mask", &["stmk"]).always().changes(),
    Entry::new(Command::Snapshot, "snapshot", &["snap"]).guarded_since_3_9(),
    Entry::new(Command::StatReset, "stat_reset", &["srst"]).changes(),
    Entry::new(Command::Stats, "stats", &["stat"]),
    Entry::new(Command::SystemProperties, "system_properties", &["sysp"]).always(),
    Entry::new(Command::VotingView, "voting_view", &[]),
    Entry::new(Command::WatchSummary, "watch_summary", &["wchs"]),
    Entry::new(Command::Watches, "watches", &["wchc"]),
    Entry::new(Command::WatchesByPath, "watches_by_path", &["wchp"]),
    Entry::new(Command::Zabstate, "zabstate", &[]).always(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_sorted_and_their_names_are_unique() {
        let names: Vec<_> = all(Compat::V3_9).map(|entry| entry.name).collect();
        assert!(names.is_sorted());
        let mut every: Vec<_> = COMMANDS.iter().flat_map(|entry| entry.other_names).chain(&names).collect();
        let count = every.len();
        every.sort_unstable();
        every.dedup();
        assert_eq!(every.len(), count);
    }

    #[test]
    fn the_older_release_has_no_snapshots_by_command() {
        assert_eq!((all(Compat::V3_8).count(), all(Compat::V3_9).count()), (26, 28));
        assert!(named("snap", Compat::V3_8).is_none());
        assert_eq!(
            named("snap", Compat::V3_9).map(|entry| entry.work),
            Some(Work::Command(Command::Snapshot))
        );
    }
}
