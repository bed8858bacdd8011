//! What watchers are to hear of a transaction, noted while it is applied.

use std::ops::Range;

use zk_wire::{ByteString, EventType};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::figures::Namespaces;
use crate::core::message::ConnId;
use crate::core::watch::Watches;

/// Something that watchers are told of.
#[derive(Clone, Debug)]
pub(crate) struct FiredEvent {
    pub(crate) kind: EventType,
    pub(crate) path: ByteString,
    /// Who may know.
    pub(crate) acl: SharedAcl,
    /// Who watches: which of [`FiredEvents::told`].
    told: Range<usize>,
}

/// The events of a transaction, in order.
#[derive(Debug, Default)]
pub(crate) struct FiredEvents {
    fired: Vec<FiredEvent>,
    told: Vec<ConnId>,
}

impl FiredEvents {
    pub(crate) fn clear(&mut self) {
        self.fired.clear();
        self.told.clear();
    }

    /// Each event with the connections that watch for it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FiredEvent, &[ConnId])> {
        self.fired.iter().map(|event| (event, &self.told[event.told.clone()]))
    }
}

/// Those who watch while a transaction is applied. Of what nobody watches, as most, nothing is kept.
#[derive(Debug)]
pub(crate) struct Audience<'a>(Option<(&'a mut Watches, &'a mut FiredEvents, &'a mut Namespaces)>);

impl<'a> Audience<'a> {
    /// Watches are used up, and what they were for is added to `events`.
    pub(crate) fn new(
        watches: &'a mut Watches,
        events: &'a mut FiredEvents,
        namespaces: &'a mut Namespaces,
    ) -> Self {
        Self(Some((watches, events, namespaces)))
    }

    /// For what has happened before.
    pub(crate) fn nobody() -> Self {
        Self(None)
    }

    /// Notes how much was written at `path`.
    pub(crate) fn wrote(&mut self, path: &str, len: usize) {
        if let Some((_, _, namespaces)) = &mut self.0 {
            namespaces.wrote(path, len);
        }
    }

    /// Notes what happened to the node at `path`, which is a part of `whole`.
    pub(crate) fn note(&mut self, kind: EventType, whole: &ByteString, path: &str, acl: &SharedAcl) {
        let Some((watches, FiredEvents { fired, told }, _)) = &mut self.0 else { return };
        let first = told.len();
        watches.fire(kind, path, told);
        if told.len() > first {
            let (path, acl) = (whole.slice_ref(path), acl.clone());
            fired.push(FiredEvent { kind, path, acl, told: first..told.len() });
        }
    }
}
