//! multiRead: several reads in one request. The length of the reply is computed before it is written.

use bytes::BytesMut;
use zk_wire::{Encode, ErrorCode, Fields, MultiHeader, MultiOpView, OpCode, ReplyHeader, Stat};

use crate::core::Core;
use crate::core::access::requester::Requester;
use crate::core::requests::call::{Answer, Call, Reply};
use crate::core::requests::listing::Names;
use crate::core::requests::read::readable;
use crate::core::tree::Tree;
use crate::core::tree::node::Node;

/// Bytes of a length field or an error code.
const LENGTH: usize = 4;

/// Result of one read, borrowed from the tree.
enum Found<'a> {
    Data(&'a Node),
    Children(&'a Node),
    Refused(ErrorCode),
}

impl<'a> Found<'a> {
    /// Performs one read; `None` for a null path or a write, which fail the request.
    fn find(item: &MultiOpView<'_>, tree: &'a Tree, requester: &Requester<'_>) -> Option<Self> {
        let MultiOpView::Read { op, path: Some(path) } = item else { return None };
        Some(match readable(tree, path, || Ok(*requester)) {
            Err(code) => Self::Refused(code),
            Ok(node) if *op == OpCode::GET_DATA => Self::Data(node),
            Ok(node) => Self::Children(node),
        })
    }

    /// Returns the length of the data or the names; `None` for an error.
    fn text_len(&self) -> Option<usize> {
        match self {
            Self::Data(node) => Some(node.data_len()),
            Self::Children(node) => Some(Names::Each(node.children()).text_len()),
            Self::Refused(_) => None,
        }
    }

    /// Returns the number of bytes that the result takes in the reply.
    fn size(&self) -> usize {
        MultiHeader::LEN
            + match self {
                Self::Data(node) => LENGTH + node.data_len() + Stat::LEN,
                Self::Children(node) => LENGTH + LENGTH * node.children().len() + node.children().bytes(),
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
                node.data_and_stat().encode(out);
            }
            Self::Children(node) => {
                header(OpCode::GET_CHILDREN, ErrorCode::OK).encode(out);
                Names::Each(node.children()).encode(out);
            }
            Self::Refused(code) => {
                header(OpCode::ERROR, *code).encode(out);
                code.encode(out);
            }
        }
    }
}

impl Core {
    /// Performs several reads, each with its own result; watch flags are ignored. If a read fails the request, the
    /// results before it follow the error. A reply that is too long has no results.
    pub(crate) fn multi_read(&mut self, call: &Call, body: &Fields<'_>) -> Answer {
        let items = MultiOpView::read_all(*body)?;
        let requester = self.requester(call.conn)?;
        let mut size = LENGTH + ReplyHeader::LEN + MultiHeader::LEN;
        let mut results = Vec::new();
        for result in items.iter().map_while(|item| Found::find(item, &self.tree, &requester)) {
            size += result.size();
            if size > self.config.max_multi_read {
                return Err(ErrorCode::MARSHALLING_ERROR.into());
            }
            results.push(result);
        }
        // Counted only now: a reply that is too long reads nothing.
        for (item, result) in items.iter().zip(&results) {
            if let (MultiOpView::Read { path: Some(path), .. }, Some(len)) = (item, result.text_len()) {
                self.namespaces.read(path, len);
            }
        }
        let body = self.outputs.body(|out| {
            results.iter().for_each(|result| result.encode(out));
            MultiHeader::END.encode(out);
        });
        let is_whole = results.len() == items.len();
        Ok(if is_whole { Reply::Body(body) } else { Reply::ErrorAndBody(ErrorCode::MARSHALLING_ERROR, body) })
    }
}
