//! Requests about watches: setting them after a reconnect, adding, checking and removing them.

use zk_wire::{
    AddWatchResponse, AddWatchView, ErrorCode, EventType, PathsView, Perms, SetWatchesView, WatcherTypeView,
    Zxid,
};

use crate::core::Core;
use crate::core::faults::EventFate;
use crate::core::history::Told;
use crate::core::message::ConnId;
use crate::core::requests::call::{Answer, Call, Failure, Reply};
use crate::core::watch::{WatchMode, WatchTable};

/// Kind of watch that a request names.
#[derive(Clone, Copy)]
enum WatchType {
    Children,
    Data,
    Any,
    Persistent,
    Recursive,
}

/// Returns the paths in order, and an error at the first null.
fn each<'a>(paths: &'a PathsView<'_>) -> impl Iterator<Item = Result<&'a str, ErrorCode>> {
    let list = paths.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR);
    let (list, missing) = match list {
        Ok(list) => (list, None),
        Err(code) => (&[][..], Some(Err(code))),
    };
    list.iter().map(|path| path.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR)).chain(missing)
}

impl Core {
    /// Sets the watches of an earlier connection again.
    pub(crate) fn set_watches(&mut self, call: &Call, request: &SetWatchesView<'_>) -> Answer {
        match self.watch_again(call, request) {
            Ok(()) => Ok(Reply::Header),
            // Clients ignore an error here and would wait for events that never come.
            Err(ErrorCode::QUOTA_EXCEEDED) => Err(Failure::Close),
            Err(code) => Err(code.into()),
        }
    }

    pub(crate) fn add_watch(&mut self, call: &Call, request: &AddWatchView<'_>) -> Answer {
        let mode = match request.mode {
            0 => WatchMode::Persistent,
            1 => WatchMode::Recursive,
            _ => return Err(Failure::Unreadable),
        };
        self.watches.add(&request.path, call.conn, mode)?;
        Ok(Reply::Body(self.outputs.record(&AddWatchResponse { err: ErrorCode::OK })))
    }

    /// A null path has no watch; 3.8 fails on it where it compares whole paths.
    pub(crate) fn check_watches(&mut self, call: &Call, request: &WatcherTypeView<'_>) -> Answer {
        let watch_type = self.watch_type(request.watcher_type)?;
        let exact = self.rules.watch_types_are_exact;
        let found = match &request.path {
            None if exact => false,
            None => return Err(Failure::Unreadable),
            Some(path) if exact => self.has_watch(call.conn, path, watch_type),
            Some(path) => self.is_watched(path, watch_type)?,
        };
        found_watch(found)
    }

    pub(crate) fn remove_watches(&mut self, call: &Call, request: &WatcherTypeView<'_>) -> Answer {
        let watch_type = self.watch_type(request.watcher_type)?;
        found_watch(
            request.path.as_deref().is_some_and(|path| self.remove_watch(call.conn, path, watch_type)),
        )
    }

    /// Sets watches again. A change since then is an event at once, if the client may read the node; otherwise the
    /// watch is set. If the whole state was exchanged since then, every node counts as changed.
    fn watch_again(&mut self, call: &Call, request: &SetWatchesView<'_>) -> Result<(), ErrorCode> {
        let conn = call.conn;
        let missed_all = request.relative_zxid < self.replaced;
        for path in each(&request.data_watches) {
            let path = path?;
            match self.tree.get(path) {
                None => self.tell_missed(call, EventType::NODE_DELETED, path),
                Some(node) if missed_all || node.mzxid > request.relative_zxid => {
                    self.tell_missed(call, EventType::NODE_DATA_CHANGED, path);
                }
                Some(_) => self.watches.watch_data(path, conn)?,
            }
        }
        for path in each(&request.exist_watches) {
            let path = path?;
            match self.tree.get(path) {
                Some(_) => self.tell_missed(call, EventType::NODE_CREATED, path),
                None => self.watches.watch_data(path, conn)?,
            }
        }
        for path in each(&request.child_watches) {
            let path = path?;
            match self.tree.get(path) {
                None => self.tell_missed(call, EventType::NODE_DELETED, path),
                Some(node) if missed_all || node.pzxid() > request.relative_zxid => {
                    self.tell_missed(call, EventType::NODE_CHILDREN_CHANGED, path);
                }
                Some(_) => self.watches.watch_children(path, conn)?,
            }
        }
        for path in each(&request.persistent_watches) {
            let path = path?;
            self.watches.add(path, conn, WatchMode::Persistent)?;
            if missed_all {
                self.tell_exchanged(call, path);
                if self.tree.get(path).is_some() {
                    self.tell_missed(call, EventType::NODE_CHILDREN_CHANGED, path);
                }
            }
        }
        for path in each(&request.persistent_recursive_watches) {
            let path = path?;
            self.watches.add(path, conn, WatchMode::Recursive)?;
            if missed_all {
                self.tell_exchanged(call, path);
            }
        }
        Ok(())
    }

    /// Tells a persistent watch that its node may have changed with the whole state. ZooKeeper tells it nothing of what it
    /// missed, so its client reads again after every reconnect; this is for clients that wait for an event.
    fn tell_exchanged(&mut self, call: &Call, path: &str) {
        let kind = if self.tree.get(path).is_some() {
            EventType::NODE_DATA_CHANGED
        } else {
            EventType::NODE_DELETED
        };
        self.tell_missed(call, kind, path);
    }

    /// Sends a missed event. If the client may not read the node, neither the event is sent nor the watch set.
    fn tell_missed(&mut self, call: &Call, kind: EventType, path: &str) {
        let conn = call.conn;
        let may_know = self.tree.get(path).is_none_or(|node| {
            self.requester(conn).is_ok_and(|requester| node.acl.check(&requester, Perms::READ).is_ok())
        });
        if !may_know {
            return;
        }
        let fate = if self.faults.are_of_events() {
            let to = (conn, self.peers.get(conn));
            self.faults.fate_of_event(call.now, to, (kind, path), self.last_zxid, &mut self.history)
        } else {
            EventFate::Sent
        };
        let is_sent = self.outputs.event_with_fate(fate, conn, Zxid(-1), kind, path);
        if is_sent && self.history.is_on() {
            self.history.event(self.last_zxid, kind, path, &Told::one(conn));
        }
    }

    fn watch_type(&self, number: i32) -> Result<WatchType, ErrorCode> {
        Ok(match number {
            1 => WatchType::Children,
            2 => WatchType::Data,
            3 => WatchType::Any,
            4 if self.rules.watch_types_are_exact => WatchType::Persistent,
            5 if self.rules.watch_types_are_exact => WatchType::Recursive,
            _ => return Err(ErrorCode::MARSHALLING_ERROR),
        })
    }

    fn has_watch(&self, conn: ConnId, path: &str, watch_type: WatchType) -> bool {
        let (data, child) = (&self.watches.data, &self.watches.child);
        match watch_type {
            WatchType::Children => child.contains(path, conn, Some(WatchMode::Standard)),
            WatchType::Data => data.contains(path, conn, Some(WatchMode::Standard)),
            WatchType::Any => data.contains(path, conn, None) || child.contains(path, conn, None),
            WatchType::Persistent => data.contains(path, conn, Some(WatchMode::Persistent)),
            WatchType::Recursive => data.contains(path, conn, Some(WatchMode::Recursive)),
        }
    }

    /// Returns `true` if any connection watches a path, as 3.8 checks it.
    fn is_watched(&self, path: &str, watch_type: WatchType) -> Result<bool, ErrorCode> {
        let data = || stands_in(&self.watches.data, path);
        let child = || stands_in(&self.watches.child, path);
        match watch_type {
            WatchType::Children => child(),
            WatchType::Data => data(),
            _ => Ok(child()? | data()?),
        }
    }

    fn remove_watch(&mut self, conn: ConnId, path: &str, watch_type: WatchType) -> bool {
        let exact = self.rules.watch_types_are_exact;
        let plain = exact.then_some(WatchMode::Standard);
        let (data, child) = (&mut self.watches.data, &mut self.watches.child);
        match watch_type {
            WatchType::Children => child.remove(path, conn, plain),
            WatchType::Data => data.remove(path, conn, plain),
            WatchType::Any => child.remove(path, conn, None) | data.remove(path, conn, None),
            WatchType::Persistent => {
                let mode = Some(WatchMode::Persistent);
                child.remove(path, conn, mode) | data.remove(path, conn, mode)
            }
            WatchType::Recursive => data.remove(path, conn, Some(WatchMode::Recursive)),
        }
    }
}

fn found_watch(found: bool) -> Answer {
    if found { Ok(Reply::Header) } else { Err(ErrorCode::NO_WATCHER.into()) }
}

/// Returns `true` if a path is in a table, by the search of 3.8: from the path to its parents while there are
/// recursive watches. It fails at a path without a slash.
fn stands_in(table: &WatchTable, path: &str) -> Result<bool, ErrorCode> {
    let is_relative = !path.starts_with('/');
    match path {
        "" => Ok(false),
        path if !path.contains('/') => Err(ErrorCode::MARSHALLING_ERROR),
        path if table.is_watched(path) => Ok(true),
        _ if is_relative && table.has_recursive() => Err(ErrorCode::MARSHALLING_ERROR),
        _ => Ok(false),
    }
}
