//! Calls without an answer: those that wait for a connection, and those on one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use common::Millis;
use zk_wire::{ByteString, OpCode, Xid, Zxid};

use super::{Call, CallId, Outgoing, WatchKey, pop};

/// Pending calls; each is in exactly one of the lists.
#[derive(Debug)]
pub(super) struct Calls<C> {
    /// Calls that wait for a connection, in the order of sending, with their deadlines.
    waiting: BTreeMap<CallId, Waiting<C>>,
    deadlines: BTreeSet<(Millis, CallId)>,
    sent: VecDeque<Sent<C>>,
    sent_auths: VecDeque<SentAuth<C>>,
    /// Sent calls whose watch is still wanted.
    wanted: BTreeSet<CallId>,
    /// Number of sent calls that set a watch, wanted or not.
    setting: BTreeMap<WatchKey, usize>,
    last_xid: i32,
}

/// Call that waits for a connection.
#[derive(Debug)]
pub(super) struct Waiting<C> {
    pub(super) call: Call<C>,
    pub(super) op: OpCode,
    pub(super) body: Bytes,
    pub(super) watch: Option<WatchKey>,
    deadline: Millis,
}

/// Request on the connection. Answers come in the order of requests.
#[derive(Debug)]
struct Sent<C> {
    xid: Xid,
    purpose: Purpose<C>,
}

/// Sender of a request.
#[derive(Debug)]
pub(super) enum Purpose<C> {
    /// A caller, with the watch that the answer sets.
    Call(Call<C>, Option<WatchKey>),
    /// The session itself, to close.
    Close,
    /// The session itself, to set a lasting watch on this path again. Until then changes after `since` may be missed.
    Rewatch { path: ByteString, since: Zxid },
    /// The session itself, to set one-shot watches again that were removed with a lasting one.
    Restore,
    /// The session itself, to withdraw a watch.
    Unwatch,
}

/// Auth packet on the connection. All have the same xid, and their answers have an order of their own.
#[derive(Debug)]
pub(super) struct SentAuth<C> {
    pub(super) call: Call<C>,
    pub(super) body: Bytes,
}

impl<C> Calls<C> {
    pub(super) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            sent: VecDeque::new(),
            sent_auths: VecDeque::new(),
            wanted: BTreeSet::new(),
            setting: BTreeMap::new(),
            last_xid: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.sent.len() + self.sent_auths.len()
    }

    /// Returns true if a request on the connection has no answer yet.
    pub(super) fn is_any_sent(&self) -> bool {
        !self.sent.is_empty() || !self.sent_auths.is_empty()
    }

    pub(super) fn wait(&mut self, call: Call<C>, request: Outgoing<'_>, deadline: Millis) {
        let (id, Outgoing { op, body, watch }) = (call.id, request);
        let body = Bytes::copy_from_slice(body);
        self.waiting.insert(id, Waiting { call, op, body, watch, deadline });
        self.deadlines.insert((deadline, id));
    }

    /// Drops a call: it is not sent, or its answer sets no watch.
    pub(super) fn forget(&mut self, id: CallId) {
        self.take_back(id);
        self.wanted.remove(&id);
    }

    fn take_back(&mut self, id: CallId) -> Option<Call<C>> {
        let Waiting { call, deadline, .. } = self.waiting.remove(&id)?;
        self.deadlines.remove(&(deadline, id));
        Some(call)
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Takes out a waiting call whose deadline has passed.
    pub(super) fn pop_overdue(&mut self, now: Millis) -> Option<Call<C>> {
        let &(_, id) = self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.take_back(id)
    }

    /// Takes out all waiting calls, in order.
    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = Waiting<C>> + use<C> {
        self.deadlines.clear();
        std::mem::take(&mut self.waiting).into_values()
    }

    /// Notes a request that goes out now, and returns its number.
    pub(super) fn push_sent(&mut self, purpose: Purpose<C>) -> Xid {
        if let Purpose::Call(call, Some(key)) = &purpose {
            self.wanted.insert(call.id);
            *self.setting.entry(key.clone()).or_default() += 1;
        }
        // Always positive: negative numbers have meanings.
        self.last_xid = self.last_xid.checked_add(1).unwrap_or(1);
        let xid = Xid(self.last_xid);
        self.sent.push_back(Sent { xid, purpose });
        xid
    }

    pub(super) fn push_sent_auth(&mut self, auth: SentAuth<C>) {
        self.sent_auths.push_back(auth);
    }

    /// Takes out the request of an answer; `None` if it is not the answer to the next request.
    pub(super) fn pop_answered(&mut self, xid: Xid) -> Option<Purpose<C>> {
        if self.sent.front()?.xid != xid {
            return None;
        }
        let purpose = pop(&mut self.sent)?.purpose;
        if let Purpose::Call(_, Some(key)) = &purpose
            && let Some(count) = self.setting.get_mut(key)
        {
            *count -= 1;
            if *count == 0 {
                self.setting.remove(key);
            }
        }
        Some(purpose)
    }

    /// Returns true, once, if the watch of an answered call is still wanted.
    pub(super) fn take_wanted(&mut self, id: CallId) -> bool {
        self.wanted.remove(&id)
    }

    /// Returns true if a request on the connection sets this watch, wanted or not.
    pub(super) fn will_set(&self, key: &WatchKey) -> bool {
        self.setting.contains_key(key)
    }

    pub(super) fn pop_answered_auth(&mut self) -> Option<SentAuth<C>> {
        pop(&mut self.sent_auths)
    }

    /// Takes out all callers that wait for an answer on the connection.
    pub(super) fn take_sent(&mut self) -> impl Iterator<Item = Call<C>> + use<C> {
        self.wanted.clear();
        self.setting.clear();
        let calls = std::mem::take(&mut self.sent).into_iter().filter_map(|sent| match sent.purpose {
            Purpose::Call(call, _) => Some(call),
            Purpose::Close | Purpose::Rewatch { .. } | Purpose::Restore | Purpose::Unwatch => None,
        });
        calls.chain(std::mem::take(&mut self.sent_auths).into_iter().map(|auth| auth.call))
    }
}

#[cfg(test)]
mod tests {
    use super::super::KEPT_ENTRIES;
    use super::*;

    #[test]
    fn a_burst_of_calls_does_not_hold_memory_for_ever() {
        let mut calls = Calls::new();
        let mut burst = |size: usize| {
            let xids: Vec<Xid> = (0..size).map(|_| calls.push_sent(Purpose::<()>::Unwatch)).collect();
            for xid in xids {
                assert!(calls.pop_answered(xid).is_some());
            }
            calls.sent.capacity()
        };
        assert_eq!(burst(KEPT_ENTRIES + 1), 0);
        assert!(burst(KEPT_ENTRIES / 2) > 0, "a little is kept for the next ones");
    }
}
