//! The choice of a link: waits for one that takes a call or a stream.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use common::Millis;
use rpc_wire::EncodeError;

use crate::error::Error;
use crate::link::{Link, Room, Started};
use crate::pool::{Demand, LinkId, Picked, Purpose};
use crate::shared::Shared;

/// A search for the best link that has room, up to a deadline.
#[derive(Debug)]
pub(crate) struct Placement<'a> {
    shared: &'a Shared,
    /// Time at the end of the last wait.
    pub(crate) now: Millis,
    pub(crate) deadline: Millis,
    /// Hash of the key of the call, if it has one.
    pub(crate) key: Option<u64>,
    /// Time to wait for a link that is ready.
    pub(crate) patience: Millis,
    purpose: Purpose,
}

/// A link, and what was started on it. The link is to be given back to the pool.
#[derive(Debug)]
pub(crate) struct Placed<T> {
    pub(crate) picked: Picked,
    pub(crate) link: Arc<Link>,
    pub(crate) started: T,
}

/// Reason why nothing was started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unplaced {
    /// No link was ready in time.
    NoLink,
    /// The deadline passed before a link had room.
    Late,
    /// The request does not fit a limit of the protocol or of the server.
    Argument(EncodeError),
    /// The server speaks version 1 of the protocol, which has no streams.
    NoStreams,
}

impl<'a> Placement<'a> {
    pub(crate) fn new(shared: &'a Shared, purpose: Purpose, now: Millis, deadline: Millis) -> Self {
        Self { shared, now, deadline, key: None, patience: shared.settings.patience, purpose }
    }

    /// Starts something on the best link that has room. Returns `None` if that link has just gone.
    pub(crate) async fn start<T>(
        &mut self,
        avoid: Option<LinkId>,
        start: impl Fn(&Link, Millis, Option<Room>) -> Started<T>,
    ) -> Result<Option<Placed<T>>, Unplaced> {
        if let Some((picked, link)) = self.pick(avoid.as_slice()) {
            if let Started::Sent(started) = start(&link, self.now, None) {
                return Ok(Some(Placed { picked, link, started }));
            }
            self.shared.give_back(self.now, picked);
        }
        // Boxed, because it is seldom and large.
        Box::pin(self.search(avoid, start)).await
    }

    /// Starts something on the best link that has room, and waits for such a link.
    async fn search<T>(
        &mut self,
        avoid: Option<LinkId>,
        start: impl Fn(&Link, Millis, Option<Room>) -> Started<T>,
    ) -> Result<Option<Placed<T>>, Unplaced> {
        let shared = self.shared;
        // Links that have been tried since the last wait, and the waits for room on them and on those before.
        let (mut full, mut rooms) = (Vec::new(), Vec::<(LinkId, Room)>::new());
        let mut changed = None;
        loop {
            let (picked, link) = self.link(if full.is_empty() { avoid.as_slice() } else { &full }).await?;
            // With its place among those who wait there, if it has one.
            let at = rooms.iter().position(|(id, _)| *id == picked.id);
            let started = start(&link, self.now, at.map(|at| rooms.swap_remove(at).1));
            if let Started::Sent(started) = started {
                return Ok(Some(Placed { picked, link, started }));
            }
            shared.give_back(self.now, picked);
            let room = match started {
                Started::Full(room) => room,
                Started::Refused(error) => return Err(Unplaced::Argument(error)),
                Started::NoStreams => return Err(Unplaced::NoStreams),
                Started::Sent(_) | Started::Closed => return Ok(None),
            };
            let changed_since = changed.get_or_insert_with(|| Box::pin(shared.changed()));
            rooms.push((picked.id, room));
            if !full.contains(&picked.id) {
                // Another link may have room.
                full.push(picked.id);
                continue;
            }
            if self.patience == Millis(0) {
                return Err(Unplaced::NoLink);
            }
            // What there is for this call on a link that it does not try is for others.
            rooms.retain(|(id, _)| full.contains(id));
            tokio::select! {
                biased;
                () = changed_since => {}
                () = any(&mut rooms) => {}
                () = shared.clock.sleep_until(Some(self.deadline)) => return Err(Unplaced::Late),
            }
            self.now = shared.clock.now();
            full.clear();
            changed = None;
        }
    }

    /// Waits for a link that takes a call.
    async fn link(&mut self, avoid: &[LinkId]) -> Result<(Picked, Arc<Link>), Unplaced> {
        let shared = self.shared;
        if let Some(picked) = self.pick(avoid) {
            return Ok(picked);
        }
        let until = self.deadline.min(self.now + self.patience);
        let _waiter = shared.waiter();
        loop {
            let mut changed = pin!(shared.changed());
            // From here on no change is missed, and no room.
            changed.as_mut().enable();
            let room = shared.room();
            self.now = shared.clock.now();
            if let Some(picked) = self.pick(avoid) {
                return Ok(picked);
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = room => {}
                // One last look, because a runtime that was held up may find the change and the timeout at once.
                () = shared.clock.sleep_until(Some(until)) => {
                    return self.pick(avoid).ok_or(Unplaced::NoLink);
                }
            }
        }
    }

    fn pick(&self, avoid: &[LinkId]) -> Option<(Picked, Arc<Link>)> {
        self.shared.pool().pick(&Demand { now: self.now, avoid, key: self.key, purpose: self.purpose })
    }
}

/// Returns the error of a service without a link that takes a call.
pub(crate) fn no_link(shared: &Shared) -> Error {
    let service = shared.config.service.clone();
    let pool = shared.pool();
    if !pool.has_targets() {
        return Error::NoInstances { service };
    }
    let reason = pool.failure().unwrap_or("all connections are busy or being made").to_owned();
    Error::Unreachable { service, reason }
}

/// Waits until there is room on one of the links.
async fn any(rooms: &mut [(LinkId, Room)]) {
    poll_fn(|cx| {
        let is_over = rooms.iter_mut().any(|(_, room)| Pin::new(room).poll(cx).is_ready());
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::shared::testing::shared_with_links;

    #[tokio::test]
    async fn a_place_that_was_given_back_unused_goes_to_a_call_that_waits() {
        let shared = shared_with_links(1);
        let mut placement = Placement::new(&shared, Purpose::Call, Millis(0), Millis(60_000));
        let (picked, _) = placement.pick(&[]).unwrap();
        let start = |_: &Link, _, _| Started::Sent(());
        let mut waiting = pin!(placement.start(None, start));
        assert!(waiting.as_mut().now_or_never().is_none(), "the only place is taken");
        shared.give_back(Millis(0), picked);
        assert!(matches!(waiting.now_or_never(), Some(Ok(Some(_)))));
    }

    #[tokio::test]
    async fn each_of_two_calls_that_end_at_once_wakes_a_call_that_is_about_to_wait() {
        let shared = shared_with_links(0);
        let _waiters = (shared.waiter(), shared.waiter());
        // Both have looked in vain before the calls end, and wait only after that.
        let rooms = [shared.room(), shared.room()];
        shared.give_room();
        shared.give_room();
        assert!(rooms.into_iter().all(|room| room.now_or_never().is_some()));
    }
}
