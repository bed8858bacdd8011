//! Requests about watches: setting them again after a reconnect, adding, checking and removing them.

use bytes::Bytes;
use zk_wire::{AddWatch, ByteString, Decode, DecodeError, ErrorCode, EventType, OpCode, Perms, Zxid};

use crate::core::requests::{Call, decode};
use crate::core::watch::{WatchMode, WatchTable};
use crate::core::{ConnId, Core};

/// Which watches a request means.
#[derive(Clone, Copy)]
enum WatchType {
    Children,
    Data,
    Any,
    Persistent,
    Recursive,
}

/// A list of paths as sent: nulls are refused only when it is their turn.
type SentPaths = Option<Vec<Option<ByteString>>>;

/// Any of the two requests that set watches again.
struct SetWatchesRequest {
    relative_zxid: Zxid,
    data: SentPaths,
    exist: SentPaths,
    child: SentPaths,
    persistent: SentPaths,
    recursive: SentPaths,
}

impl SetWatchesRequest {
    fn decode(op: OpCode, body: &mut Bytes) -> Result<Self, DecodeError> {
        let relative_zxid = Decode::decode(body, "SetWatches.relative_zxid")?;
        let mut paths = || Decode::decode(body, "SetWatches.paths");
        let (data, exist, child) = (paths()?, paths()?, paths()?);
        let (persistent, recursive) = match op {
            OpCode::SET_WATCHES2 => (paths()?, paths()?),
            _ => (Some(vec![]), Some(vec![])),
        };
        Ok(Self { relative_zxid, data, exist, child, persistent, recursive })
    }
}

/// Takes the paths one after the other, up to a null.
fn each(paths: &SentPaths) -> impl Iterator<Item = Result<&ByteString, ErrorCode>> {
    let list = paths.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR);
    let (list, missing) = match list {
        Ok(list) => (list, None),
        Err(code) => (&[][..], Some(Err(code))),
    };
    list.iter().map(|path| path.as_ref().ok_or(ErrorCode::MARSHALLING_ERROR)).chain(missing)
}

impl Core {
    /// Does what a request about watches asks; the answer has no body.
    pub(crate) fn watch_request(&mut self, call: Call, mut body: Bytes) -> Result<(), ErrorCode> {
        let body = &mut body;
        match call.op {
            OpCode::SET_WATCHES | OpCode::SET_WATCHES2 => {
                let request = SetWatchesRequest::decode(call.op, body);
                return self.set_watches(call.conn, &request.map_err(|_| ErrorCode::MARSHALLING_ERROR)?);
            }
            OpCode::ADD_WATCH => {
                let request: AddWatch = decode(body)?;
                let mode = match request.mode {
                    0 => WatchMode::Persistent,
                    1 => WatchMode::Recursive,
                    _ => return Err(ErrorCode::MARSHALLING_ERROR),
                };
                self.watches.add(&request.path, call.conn, mode)?;
            }
            _ => return self.check_or_remove(call, body),
        }
        Ok(())
    }

    /// checkWatches and removeWatches, which are the same record. Nobody watches a null path; the older line
    /// stumbles over it where it looks at whole paths.
    fn check_or_remove(&mut self, call: Call, body: &mut Bytes) -> Result<(), ErrorCode> {
        let path: Option<ByteString> = decode(body)?;
        let watch_type = self.watch_type(decode(body)?)?;
        let is_check = call.op == OpCode::CHECK_WATCHES;
        let found = match &path {
            None if is_check && !self.rules.watch_types_are_exact => {
                return Err(ErrorCode::MARSHALLING_ERROR);
            }
            None => false,
            Some(path) if is_check && !self.rules.watch_types_are_exact => {
                self.is_watched(path, watch_type)?
            }
            Some(path) if is_check => self.has_watch(call.conn, path, watch_type),
            Some(path) => self.remove_watch(call.conn, path, watch_type),
        };
        if found { Ok(()) } else { Err(ErrorCode::NO_WATCHER) }
    }

    /// Sets watches again: what has happened since is told at once, to those who may read the node; the others wait.
    fn set_watches(&mut self, conn: ConnId, request: &SetWatchesRequest) -> Result<(), ErrorCode> {
        for path in each(&request.data) {
            let path = path?;
            match self.tree.get(path) {
                None => self.tell_missed(conn, EventType::NODE_DELETED, path),
                Some(node) if node.mzxid > request.relative_zxid => {
                    self.tell_missed(conn, EventType::NODE_DATA_CHANGED, path);
                }
                Some(_) => self.watches.watch_data(path, conn)?,
            }
        }
        for path in each(&request.exist) {
            let path = path?;
            match self.tree.get(path) {
                Some(_) => self.tell_missed(conn, EventType::NODE_CREATED, path),
                None => self.watches.watch_data(path, conn)?,
            }
        }
        for path in each(&request.child) {
            let path = path?;
            match self.tree.get(path) {
                None => self.tell_missed(conn, EventType::NODE_DELETED, path),
                Some(node) if node.pzxid > request.relative_zxid => {
                    self.tell_missed(conn, EventType::NODE_CHILDREN_CHANGED, path);
                }
                Some(_) => self.watches.watch_children(path, conn)?,
            }
        }
        for path in each(&request.persistent) {
            self.watches.add(path?, conn, WatchMode::Persistent)?;
        }
        for path in each(&request.recursive) {
            self.watches.add(path?, conn, WatchMode::Recursive)?;
        }
        Ok(())
    }

    /// Tells what was missed. What may not be read any more is not told, and not waited for either.
    fn tell_missed(&mut self, conn: ConnId, kind: EventType, path: &ByteString) {
        let may_know = self.tree.get(path).is_none_or(|node| {
            let requester = self.conns.get(&conn).map(|conn| conn.requester(&self.config, self.rules));
            requester.is_some_and(|requester| requester.check(&node.acl, Perms::READ).is_ok())
        });
        if may_know {
            self.outbox.event([conn], Zxid(-1), kind, path);
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

    /// Returns whether anybody watches a path: in the older line anybody's watch will do.
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

/// Returns whether a path stands in a table, by the older line's search: it goes from the path to its parents, as far as
/// recursive watches reach, and fails where there is no slash to go up to.
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
