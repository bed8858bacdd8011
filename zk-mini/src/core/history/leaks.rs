//! Sessions, watches and nodes that are still there though a test expects them to be gone.

use common::log::Shown;
use zk_wire::SessionId;

use crate::core::Core;
use crate::core::history::text::{self, Client};
use crate::core::history::view::Mark;

impl Core {
    /// Describes the watches that were not there at a moment.
    pub(crate) fn leaked_watches(&self, since: &Mark) -> Vec<String> {
        let watches = self.watches().into_iter();
        let leaked =
            watches.filter(|watch| !since.watches.contains(&(watch.path.clone(), watch.kind, watch.session)));
        let line = |watch: crate::core::WatchInfo| {
            let owner = watch.session.map_or_else(String::new, |id| format!(" of {}", self.session_text(id)));
            format!("{} ({:?}){owner}", Shown::text(&watch.path), watch.kind)
        };
        leaked.map(line).collect()
    }

    /// Describes the sessions that were not alive at a moment.
    pub(crate) fn leaked_sessions(&self, since: &Mark) -> Vec<String> {
        let leaked = self.sessions.ids().into_iter().filter(|id| !since.sessions.contains(id));
        leaked.map(|id| self.session_text(id)).collect()
    }

    /// Describes the ephemeral nodes whose session has ended.
    pub(crate) fn ephemerals_of_the_dead(&self) -> Vec<String> {
        let mut dead: Vec<_> = self.tree.owners().filter(|id| self.sessions.get(*id).is_none()).collect();
        dead.sort_unstable();
        let of_one = |id: SessionId| {
            let owner = match self.history.ends.get(id) {
                Some(end) => format!("{}, {}", text::session(id), text::end(end)),
                None => text::session(id),
            };
            let nodes = self.tree.ephemerals(id).into_iter();
            nodes.map(move |path| format!("{} of {owner}", Shown::text(&path))).collect::<Vec<_>>()
        };
        dead.into_iter().flat_map(of_one).collect()
    }

    fn session_text(&self, id: SessionId) -> String {
        let client = self.sessions.get(id).and_then(|session| session.client).map(Client);
        let client = client.map(|client| format!(", {client}")).unwrap_or_default();
        format!("{}{client}", text::session(id))
    }
}
