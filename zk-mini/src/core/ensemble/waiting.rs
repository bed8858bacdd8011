//! Queue of one connection until its server has caught up with the leader's answers to it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::core::faults::Fired;
use crate::core::message::Output;

/// Bytes that everything that waits counts for, beside its frame.
const OVERHEAD: usize = 64;

/// Answers and requests of a connection, in the order in which its client sent what they are about.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    /// Its close is among the answers: what its client sends is not handled any more.
    pub(super) is_closing: bool,
}

#[derive(Debug)]
pub(super) enum Item {
    /// An answer of the leader, which stands in the backlog, with its length.
    Answer(usize),
    /// Request for the server itself, and the rule that has hit it.
    Request(Bytes, Option<Fired>),
    /// Something to send.
    Output(Output),
}

impl Waiting {
    /// Adds an item. Returns `false` if more than `max` bytes wait then. One item alone may be longer: it is on its way already.
    pub(super) fn push(&mut self, item: Item, max: usize) -> bool {
        self.bytes += item.len();
        self.items.push_back(item);
        self.items.len() == 1 || self.bytes <= max
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.len();
        Some(item)
    }

    /// Takes the first item, unless it is an answer of the leader.
    pub(super) fn pop_own(&mut self) -> Option<Item> {
        if let Some(Item::Answer(_)) = self.items.front() { None } else { self.pop() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl Item {
    fn len(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Request(frame, _) | Self::Output(Output::Send { frame, .. }) => frame.len(),
                Self::Answer(len) => *len,
                Self::Output(_) => 0,
            }
    }
}
