//! Requests that read: they change nothing but the watches of their connection.

use bytes::Bytes;
use zk_wire::{
    Acl, ByteString, Encode, ErrorCode, Exists, GetAcl, GetAclResponse, GetAllChildrenNumber,
    GetAllChildrenNumberResponse, GetChildren, GetData, GetDataResponse, GetEphemerals,
    GetEphemeralsResponse, OpCode, Perms, ReplyHeader, Stat, StatResponse, Sync, SyncResponse,
    WhoAmIResponse,
};

use super::Core;
use super::node::Node;
use super::request::{Call, decode};

impl Core {
    /// Answers a request that reads.
    pub(super) fn read(&mut self, call: Call, mut body: Bytes) -> Result<(), ErrorCode> {
        let body = &mut body;
        match call.op {
            OpCode::GET_DATA => self.get_data(call, &decode(body)?),
            OpCode::EXISTS => self.exists(call, &decode(body)?),
            // The two requests are the same record.
            OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2 => self.get_children(call, &decode(body)?),
            OpCode::GET_ACL => self.get_acl(call, &decode(body)?),
            OpCode::GET_ALL_CHILDREN_NUMBER => self.get_all_children_number(call, &decode(body)?),
            OpCode::GET_EPHEMERALS => self.get_ephemerals(call, &decode(body)?),
            OpCode::SYNC => {
                // There is one server: it has always caught up.
                let Sync { path } = decode(body)?;
                self.reply(call, &SyncResponse { path });
                Ok(())
            }
            _ => {
                let client_info = self.conns.get(&call.conn).map(super::Connection::client_info);
                self.reply(call, &WhoAmIResponse { client_info: client_info.unwrap_or_default() });
                Ok(())
            }
        }
    }

    fn reply(&mut self, call: Call, body: &impl Encode) {
        self.outbox.reply(call.conn, call.xid, self.last_zxid, body);
    }

    /// Whether the requester has any of `perms` on a list.
    fn allow(&self, call: Call, acl: &[Acl], perms: Perms) -> Result<(), ErrorCode> {
        let connection = self.conns.get(&call.conn).ok_or(ErrorCode::NO_AUTH)?;
        connection.requester(&self.config, self.rules).check(acl, perms)
    }

    /// A node that the requester may read.
    fn readable(&self, call: Call, path: &str) -> Result<&Node, ErrorCode> {
        let node = self.tree.get(path).ok_or(ErrorCode::NO_NODE)?;
        self.allow(call, &node.acl, Perms::READ)?;
        Ok(node)
    }

    fn get_data(&mut self, call: Call, request: &GetData) -> Result<(), ErrorCode> {
        let node = self.readable(call, &request.path)?;
        let response = GetDataResponse { data: node.data.clone(), stat: node.stat() };
        if request.watch {
            self.watches.watch_data(&request.path, call.conn);
        }
        self.reply(call, &response);
        Ok(())
    }

    /// The watch is set also where there is no node: it waits for one.
    fn exists(&mut self, call: Call, request: &Exists) -> Result<(), ErrorCode> {
        if request.path.contains('\0') {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        let stat = match self.tree.get(&request.path) {
            Some(node) if self.rules.exists_needs_read => {
                self.allow(call, &node.acl, Perms::READ)?;
                Some(node.stat())
            }
            node => node.map(Node::stat),
        };
        if request.watch {
            self.watches.watch_data(&request.path, call.conn);
        }
        self.reply(call, &StatResponse { stat: stat.ok_or(ErrorCode::NO_NODE)? });
        Ok(())
    }

    fn get_children(&mut self, call: Call, request: &GetChildren) -> Result<(), ErrorCode> {
        self.readable(call, &request.path)?;
        if request.watch {
            self.watches.watch_children(&request.path, call.conn);
        }
        let zxid = self.last_zxid;
        let node = self.tree.get(&request.path).ok_or(ErrorCode::NO_NODE)?;
        self.outbox.frame(call.conn, |frame| {
            frame.put(&ReplyHeader { xid: call.xid, zxid, err: ErrorCode::OK });
            frame.put(&self.listing.names(&request.path, node));
            if call.op == OpCode::GET_CHILDREN2 {
                frame.put(&node.stat());
            }
        });
        Ok(())
    }

    /// Without ADMIN the hashes of digest ids are not shown.
    fn get_acl(&mut self, call: Call, request: &GetAcl) -> Result<(), ErrorCode> {
        let node = self.tree.get(&request.path).ok_or(ErrorCode::NO_NODE)?;
        self.allow(call, &node.acl, Perms::READ | Perms::ADMIN)?;
        let mut acl = node.acl.to_vec();
        if self.allow(call, &node.acl, Perms::ADMIN).is_err() {
            for entry in acl.iter_mut().filter(|entry| entry.scheme == "digest") {
                if let Some((name, _)) = entry.id.split_once(':') {
                    entry.id = ByteString::from(format!("{name}:x"));
                }
            }
        }
        let stat: Stat = node.stat();
        self.reply(call, &GetAclResponse { acl, stat });
        Ok(())
    }

    fn get_all_children_number(
        &mut self,
        call: Call,
        request: &GetAllChildrenNumber,
    ) -> Result<(), ErrorCode> {
        self.readable(call, &request.path)?;
        // The root's other name is below itself by ZooKeeper's count.
        let total = self.tree.count_below(&request.path) + usize::from(request.path.is_empty());
        let total_number = i32::try_from(total).unwrap_or(i32::MAX);
        self.reply(call, &GetAllChildrenNumberResponse { total_number });
        Ok(())
    }

    fn get_ephemerals(&mut self, call: Call, request: &GetEphemerals) -> Result<(), ErrorCode> {
        // Java's trim takes every character up to the space.
        let prefix = request.prefix_path.as_deref().unwrap_or_default();
        let trimmed = prefix.trim_matches(|c| c <= ' ');
        let is_all = trimmed.is_empty() || trimmed == "/";
        let mut ephemerals = self.tree.ephemerals(call.session);
        ephemerals.retain(|path| is_all || path.starts_with(prefix));
        self.reply(call, &GetEphemeralsResponse { ephemerals });
        Ok(())
    }
}
