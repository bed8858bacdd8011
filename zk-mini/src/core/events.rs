//! Watch events of a transaction, collected while it is applied.

use std::ops::Range;

use zk_wire::{ByteString, EventType};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::figures::Namespaces;
use crate::core::history::Recorder;
use crate::core::message::ConnId;
use crate::core::tree::before::Before;
use crate::core::watch::Watches;

/// Number of events, and of connections told, whose memory is kept for the next transaction.
const KEPT: usize = 1_000;

/// Event for the connections that watch a node.
#[derive(Clone, Debug)]
pub(crate) struct FiredEvent {
    pub(crate) kind: EventType,
    pub(crate) path: ByteString,
    /// ACL that decides which connections may see the event.
    pub(crate) acl: SharedAcl,
    /// Connections that watch: a range of [`FiredEvents::told`].
    told: Range<usize>,
}

/// Events of a transaction, in order.
#[derive(Debug, Default)]
pub(crate) struct FiredEvents {
    fired: Vec<FiredEvent>,
    told: Vec<ConnId>,
}

impl FiredEvents {
    pub(crate) fn clear(&mut self) {
        if !self.fired.is_empty() {
            self.fired.clear();
            self.told.clear();
            self.fired.shrink_to(KEPT);
            self.told.shrink_to(KEPT);
        }
    }

    /// Returns each event with the connections that watch for it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FiredEvent, &[ConnId])> {
        self.fired.iter().map(|event| (event, &self.told[event.told.clone()]))
    }
}

/// Observers of a transaction while it is applied: watches, the figures of namespaces, and the history. A change without
/// watches, the common case, adds no event.
#[derive(Debug)]
pub(crate) struct Observers<'a>(Option<Watching<'a>>);

#[derive(Debug)]
struct Watching<'a> {
    watches: &'a mut Watches,
    events: &'a mut FiredEvents,
    namespaces: &'a mut Namespaces,
    /// `None` if no history is recorded.
    history: Option<&'a mut Recorder>,
}

impl<'a> Observers<'a> {
    /// Uses up watches and adds their events to `events`.
    pub(crate) fn new(
        watches: &'a mut Watches,
        events: &'a mut FiredEvents,
        namespaces: &'a mut Namespaces,
        history: Option<&'a mut Recorder>,
    ) -> Self {
        Self(Some(Watching { watches, events, namespaces, history }))
    }

    /// Returns observers without watches, for the replay of earlier transactions.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Returns `true` if nothing observes the transaction: it is replayed.
    pub(crate) fn are_none(&self) -> bool {
        self.0.is_none()
    }

    /// Records the number of bytes written at `path`.
    pub(crate) fn wrote(&mut self, path: &str, len: usize) {
        if let Some(Watching { namespaces, .. }) = &mut self.0 {
            namespaces.wrote(path, len);
        }
    }

    /// Records an event at `path`, which is a part of `whole`.
    #[inline]
    pub(crate) fn note(&mut self, kind: EventType, whole: &ByteString, path: &str, acl: &SharedAcl) {
        if let Some(watching) = &mut self.0
            && watching.watches.count() > 0
        {
            watching.note(kind, whole, path, acl);
        }
    }

    /// Records the values that a change of a node replaces, if there is a history. `version` is the new one.
    #[inline]
    pub(crate) fn changed(&mut self, path: &str, version: i32, before: Before<'_>) {
        if let Some(Watching { history: Some(history), .. }) = &mut self.0 {
            history.changed(path, version, before);
        }
    }
}

impl Watching<'_> {
    fn note(&mut self, kind: EventType, whole: &ByteString, path: &str, acl: &SharedAcl) {
        let Self { watches, events: FiredEvents { fired, told }, .. } = self;
        let first = told.len();
        watches.fire(kind, path, told);
        if told.len() > first {
            let (path, acl) = (whole.slice_ref(path), acl.clone());
            fired.push(FiredEvent { kind, path, acl, told: first..told.len() });
        }
    }
}
