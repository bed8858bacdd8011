//! Requests that read: they change nothing but the watches of their connection.

use std::borrow::Cow;

use zk_wire::{
    Acl, ByteString, Encode, ErrorCode, Fields, GetAllChildrenNumberResponse, GetDataResponse, OpCode, Perms,
    ReplyHeader, StatResponse, SyncResponse, WhoAmIResponse,
};

use crate::core::Core;
use crate::core::access::acl::Requester;
use crate::core::requests::{Call, readable_body};
use crate::core::tree::node::Node;

/// A path that may not be null.
fn path<'a>(body: &mut Fields<'a>) -> Result<Cow<'a, str>, ErrorCode> {
    readable_body(body.text("path"))?.ok_or(ErrorCode::MARSHALLING_ERROR)
}

/// What most reads are: a path, and whether to watch it.
fn path_and_watch<'a>(body: &mut Fields<'a>) -> Result<(Cow<'a, str>, bool), ErrorCode> {
    Ok((path(body)?, readable_body(body.boolean("watch"))?))
}

/// Returns a digest entry as others see it.
fn without_hash(entry: &Acl) -> Option<Acl> {
    let (name, _) = entry.id.split_once(':').filter(|_| entry.scheme == "digest")?;
    Some(Acl { id: ByteString::from(format!("{name}:x")), ..entry.clone() })
}

impl Core {
    /// Answers a request that reads.
    pub(crate) fn read(&mut self, call: Call, mut body: Fields<'_>) -> Result<(), ErrorCode> {
        let body = &mut body;
        match call.op {
            OpCode::GET_DATA => {
                let (path, watch) = path_and_watch(body)?;
                self.get_data(call, &path, watch)
            }
            OpCode::EXISTS => {
                let (path, watch) = path_and_watch(body)?;
                self.exists(call, &path, watch)
            }
            OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2 => {
                let (path, watch) = path_and_watch(body)?;
                self.get_children(call, &path, watch)
            }
            OpCode::GET_ACL => self.get_acl(call, &path(body)?),
            OpCode::GET_ALL_CHILDREN_NUMBER => self.get_all_children_number(call, &path(body)?),
            OpCode::GET_EPHEMERALS => {
                let prefix = readable_body(body.text("GetEphemerals.prefix_path"))?;
                self.get_ephemerals(call, prefix.as_deref())
            }
            OpCode::SYNC => {
                // There is one server: it has always caught up.
                let path = readable_body(body.text("Sync.path"))?;
                self.reply(call, &SyncResponse { path: path.map(|path| ByteString::from(&*path)) });
                Ok(())
            }
            _ => {
                let client_info = self.conns.get(&call.conn).map(crate::core::peer::Connection::client_info);
                self.reply(call, &WhoAmIResponse { client_info: client_info.unwrap_or_default() });
                Ok(())
            }
        }
    }

    fn reply(&mut self, call: Call, body: &impl Encode) {
        self.outbox.reply(call.conn, call.xid, self.last_zxid, body);
    }

    fn requester(&self, call: Call) -> Result<Requester<'_>, ErrorCode> {
        let connection = self.conns.get(&call.conn).ok_or(ErrorCode::NO_AUTH)?;
        Ok(connection.requester(&self.config, self.rules))
    }

    /// A node that the requester may read.
    fn readable(&self, call: Call, path: &str) -> Result<&Node, ErrorCode> {
        let node = self.tree.get(path).ok_or(ErrorCode::NO_NODE)?;
        self.requester(call)?.check(&node.acl, Perms::READ)?;
        Ok(node)
    }

    fn get_data(&mut self, call: Call, path: &str, watch: bool) -> Result<(), ErrorCode> {
        let node = self.readable(call, path)?;
        let response = GetDataResponse { data: node.data.clone(), stat: node.stat() };
        self.namespaces.read(path, response.data.as_ref().map_or(0, bytes::Bytes::len));
        if watch {
            self.watches.watch_data(path, call.conn)?;
        }
        self.reply(call, &response);
        Ok(())
    }

    /// The watch is set also where there is no node: it waits for one.
    fn exists(&mut self, call: Call, path: &str, watch: bool) -> Result<(), ErrorCode> {
        if path.contains('\0') {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        let stat = match self.tree.get(path) {
            Some(node) => {
                self.requester(call)?.check(&node.acl, Perms::READ)?;
                Some(node.stat())
            }
            None => None,
        };
        if watch {
            self.watches.watch_data(path, call.conn)?;
        }
        let stat = stat.ok_or(ErrorCode::NO_NODE)?;
        self.namespaces.read(path, 0);
        self.reply(call, &StatResponse { stat });
        Ok(())
    }

    fn get_children(&mut self, call: Call, path: &str, watch: bool) -> Result<(), ErrorCode> {
        self.readable(call, path)?;
        if watch {
            self.watches.watch_children(path, call.conn)?;
        }
        let header = ReplyHeader { xid: call.xid, zxid: self.last_zxid, err: ErrorCode::OK };
        let node = self.tree.get(path).ok_or(ErrorCode::NO_NODE)?;
        let names = self.listing.names(path, node);
        self.namespaces.read(path, names.text_len());
        self.outbox.frame(call.conn, header, |frame| {
            frame.put(&names);
            if call.op == OpCode::GET_CHILDREN2 {
                frame.put(&node.stat());
            }
        });
        Ok(())
    }

    /// Without ADMIN the hashes of digest ids are not shown.
    fn get_acl(&mut self, call: Call, path: &str) -> Result<(), ErrorCode> {
        let node = self.tree.get(path).ok_or(ErrorCode::NO_NODE)?;
        let requester = self.requester(call)?;
        requester.check(&node.acl, Perms::READ | Perms::ADMIN)?;
        let hides = requester.check(&node.acl, Perms::ADMIN).is_err();
        let header = ReplyHeader { xid: call.xid, zxid: self.last_zxid, err: ErrorCode::OK };
        self.outbox.frame(call.conn, header, |frame| {
            frame.put_len(node.acl.len());
            for entry in node.acl.iter() {
                match hides.then(|| without_hash(entry)).flatten() {
                    Some(entry) => frame.put(&entry),
                    None => frame.put(entry),
                }
            }
            frame.put(&node.stat());
        });
        Ok(())
    }

    fn get_all_children_number(&mut self, call: Call, path: &str) -> Result<(), ErrorCode> {
        self.readable(call, path)?;
        // The root's other name is below itself by ZooKeeper's count.
        let total = self.tree.weight_below(path).nodes + i64::from(path.is_empty());
        let total_number = i32::try_from(total).unwrap_or(i32::MAX);
        self.reply(call, &GetAllChildrenNumberResponse { total_number });
        Ok(())
    }

    fn get_ephemerals(&mut self, call: Call, prefix: Option<&str>) -> Result<(), ErrorCode> {
        // Java's trim takes every character up to the space.
        let prefix = prefix.unwrap_or_default();
        let trimmed = prefix.trim_matches(|c| c <= ' ');
        let is_all = trimmed.is_empty() || trimmed == "/";
        let prefix = if is_all { "" } else { prefix };
        let paths: Vec<_> = self.tree.ephemerals_with_prefix(call.session, prefix).collect();
        let header = ReplyHeader { xid: call.xid, zxid: self.last_zxid, err: ErrorCode::OK };
        self.outbox.frame(call.conn, header, |frame| {
            frame.put_len(paths.len());
            paths.iter().for_each(|path| frame.put(*path));
        });
        Ok(())
    }
}
