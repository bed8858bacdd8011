//! multiRead: several reads in one request, whose reply is measured before it is written.

use bytes::BytesMut;
use zk_wire::{Encode, ErrorCode, Fields, GetDataResponse, MultiHeader, OpCode, Perms, ReplyHeader};

use crate::core::Core;
use crate::core::access::acl::Requester;
use crate::core::prepare::Item;
use crate::core::requests::Call;
use crate::core::requests::listing::Names;
use crate::core::tree::Tree;
use crate::core::tree::node::Node;

/// What each record takes in a frame.
const LENGTH: usize = 4;
const REPLY_HEADER: usize = 16;
const MULTI_HEADER: usize = 9;
const STAT: usize = 68;

/// The result of one read: what is to be written, and nothing of it copied.
enum Found<'a> {
    Data(&'a Node),
    Children(&'a Node),
    Refused(ErrorCode),
}

impl<'a> Found<'a> {
    /// `None` where the server stumbles over a null path or a write.
    fn find(item: &Item<'_>, tree: &'a Tree, requester: &Requester<'_>) -> Option<Self> {
        let Item::Read { op, path: Some(path) } = item else { return None };
        let readable = tree.get(path).ok_or(ErrorCode::NO_NODE).and_then(|node| {
            requester.check(&node.acl, Perms::READ)?;
            Ok(node)
        });
        Some(match readable {
            Err(code) => Self::Refused(code),
            Ok(node) if *op == OpCode::GET_DATA => Self::Data(node),
            Ok(node) => Self::Children(node),
        })
    }

    /// Length of its data or names; `None` where there is nothing to read.
    fn text_len(&self) -> Option<usize> {
        match self {
            Self::Data(node) => Some(node.data_len()),
            Self::Children(node) => Some(Names::Each(&node.children).text_len()),
            Self::Refused(_) => None,
        }
    }

    /// How many bytes it is written as.
    fn size(&self) -> usize {
        MULTI_HEADER
            + match self {
                Self::Data(node) => LENGTH + node.data_len() + STAT,
                Self::Children(node) => LENGTH + LENGTH * node.children.len() + node.children.bytes(),
                Self::Refused(_) => LENGTH,
            }
    }
}

impl Encode for Found<'_> {
    fn encode(&self, out: &mut BytesMut) {
        let header = |op, err| MultiHeader { op, done: false, err };
        match self {
            Self::Data(node) => {
                header(OpCode::GET_DATA, ErrorCode::OK).encode(out);
                GetDataResponse { data: node.data.clone(), stat: node.stat() }.encode(out);
            }
            Self::Children(node) => {
                header(OpCode::GET_CHILDREN, ErrorCode::OK).encode(out);
                Names::Each(&node.children).encode(out);
            }
            Self::Refused(code) => {
                header(OpCode::ERROR, *code).encode(out);
                code.encode(out);
            }
        }
    }
}

impl Core {
    /// Several reads, each with its own result; their watch flags mean nothing. What was read before one that cannot be
    /// is sent behind the error, but nothing of what is too long.
    pub(crate) fn multi_read(&mut self, call: Call, body: Fields<'_>) {
        let Ok(items) = Item::read_all(body) else {
            return self.fail(call, ErrorCode::MARSHALLING_ERROR);
        };
        let Some(connection) = self.conns.get(&call.conn) else { return };
        let requester = connection.requester(&self.config, self.rules);
        let mut size = LENGTH + REPLY_HEADER + MULTI_HEADER;
        let mut results = Vec::new();
        for result in items.iter().map_while(|item| Found::find(item, &self.tree, &requester)) {
            size += result.size();
            if size > self.config.max_multi_read {
                return self.fail(call, ErrorCode::MARSHALLING_ERROR);
            }
            results.push(result);
        }
        let err = if results.len() < items.len() { ErrorCode::MARSHALLING_ERROR } else { ErrorCode::OK };
        for (item, result) in items.iter().zip(&results) {
            if let (Item::Read { path: Some(path), .. }, Some(len)) = (item, result.text_len()) {
                self.namespaces.read(path, len);
            }
        }
        let header = ReplyHeader { xid: call.xid, zxid: self.last_zxid, err };
        self.outbox.frame(call.conn, header, |frame| {
            results.iter().for_each(|result| frame.put(result));
            frame.put(&MultiHeader::END);
        });
    }
}
