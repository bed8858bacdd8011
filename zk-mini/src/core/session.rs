//! Sessions and their expiry, in buckets at multiples of the tick, so that a ping costs little while the session
//! stays in its bucket. A session never expires early, and at most one tick late, as in ZooKeeper's `ExpiryQueue`.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt};
use zk_wire::{Millis, SessionId, UnixMillis, Zxid};

use crate::core::message::{ConnId, Peer};

/// First byte of the session ids that this server gives.
const SERVER: i64 = 1;

/// Highest number of a server that its ids can have in the first byte.
const LAST_SERVER: i64 = 254;

/// Bytes of an id below that of the server.
const COUNT: i64 = 0x00ff_ffff_ffff_ffff;

/// Session of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    /// Timeout negotiated at its creation.
    pub(crate) timeout: Millis,
    /// Timeout negotiated by its latest connection.
    pub(crate) current_timeout: Millis,
    /// Present connection.
    pub(crate) conn: Option<ConnId>,
    /// Peer of its latest connection; `None` if it has not had one here.
    pub(crate) client: Option<Peer>,
    /// Bucket that the session is in.
    pub(crate) expires: Millis,
    /// Time of the last sign of life.
    pub(crate) heard: Millis,
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    by_id: HashMap<SessionId, Session>,
    buckets: BTreeMap<Millis, BTreeSet<SessionId>>,
    tick: Millis,
    seed: u64,
    /// Highest known id that this server has given.
    highest: Option<SessionId>,
    next_id: Option<SessionId>,
}

impl Sessions {
    pub(crate) fn new(tick: Millis, seed: u64) -> Self {
        Self { by_id: HashMap::new(), buckets: BTreeMap::new(), tick, seed, highest: None, next_id: None }
    }

    /// Returns the id of the next session.
    pub(crate) fn next_id(&self, wall: UnixMillis) -> SessionId {
        let mut id = self.next_id.unwrap_or_else(|| first_id(wall, self.seed));
        while self.by_id.contains_key(&id) {
            id = after(id);
        }
        id
    }

    /// Returns the id of the next session, and does not give it again.
    pub(crate) fn take_id(&mut self, wall: UnixMillis) -> SessionId {
        let id = self.next_id(wall);
        self.next_id = Some(after(id));
        id
    }

    /// Returns the id of the next session of a server of an ensemble, which has the server's number in its first byte, and does
    /// not give it again.
    pub(crate) fn take_id_of(&mut self, server: usize, wall: UnixMillis) -> SessionId {
        // Bytes above mean something else where ids are the owners of nodes.
        let byte = i64::try_from(server).unwrap_or(LAST_SERVER).min(LAST_SERVER) << 56;
        loop {
            let id = SessionId(byte | (self.take_id(wall).0 & COUNT));
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    /// Chooses the next id after a restart. Reused ids would make old passwords valid, so each start uses new ids, even
    /// if the clock shows the same time. The id depends only on the seed, the time, the last transaction and the
    /// highest known id.
    pub(crate) fn start_new_ids(&mut self, wall: UnixMillis, last: Zxid) {
        let highest = self.highest.map_or(0, |id| id.0);
        let mut chance = fastrand::Rng::with_seed(self.seed);
        // Each part seeds the generator for the next, so that all of them count.
        for part in [wall.0, last.0, highest] {
            chance = fastrand::Rng::with_seed(chance.u64(..) ^ part.cast_unsigned());
        }
        self.next_id = Some(SessionId((SERVER << 56) | chance.i64(0..1 << 55)));
    }

    /// Continues after the ids that `others` has given.
    pub(crate) fn go_on_after(&mut self, others: &Self) {
        self.next_id = self.next_id.max(others.next_id);
        self.highest = self.highest.max(others.highest);
    }

    /// Gives every session the timeout of its creation, in full, as after a restart of the server. No session has a
    /// connection then.
    pub(crate) fn restart(&mut self, now: Millis) {
        for id in self.ids() {
            if let Some(session) = self.by_id.get_mut(&id) {
                session.current_timeout = session.timeout;
            }
            self.touch(id, now);
        }
    }

    /// Creates a session, or gives an existing one another timeout.
    pub(crate) fn create(&mut self, id: SessionId, timeout: Millis, now: Millis) {
        // Other members of an ensemble give ids of their own.
        if id.0 >> 56 == SERVER {
            self.highest = self.highest.max(Some(id));
            self.next_id = self.next_id.max(Some(after(id)));
        }
        let session = self.by_id.entry(id).or_insert(Session {
            timeout,
            current_timeout: timeout,
            conn: None,
            client: None,
            expires: Millis(0),
            heard: now,
        });
        session.timeout = timeout;
        session.current_timeout = timeout;
        self.touch(id, now);
    }

    /// Records a sign of life of a session. Returns `false` if there is no such session.
    pub(crate) fn touch(&mut self, id: SessionId, now: Millis) -> bool {
        let Some(session) = self.by_id.get_mut(&id) else { return false };
        session.heard = now;
        let end = now + session.current_timeout;
        // Within a bucket only the lookup is needed, and no division: the common case.
        let is_in_bucket = end < session.expires && session.expires.0 - end.0 <= self.tick.0;
        if !is_in_bucket {
            leave_bucket(&mut self.buckets, session.expires, id);
            session.expires = next_multiple(end, self.tick);
            self.buckets.entry(session.expires).or_default().insert(id);
        }
        true
    }

    /// Removes a session.
    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        leave_bucket(&mut self.buckets, session.expires, id);
        Some(session)
    }

    /// Returns a session that has expired, and leaves it in place.
    pub(crate) fn expired(&self, now: Millis) -> Option<SessionId> {
        let (&at, ids) = self.buckets.first_key_value()?;
        if at <= now { ids.first().copied() } else { None }
    }

    /// Returns the time of the next expiry without signs of life.
    pub(crate) fn next_expiry(&self) -> Option<Millis> {
        self.buckets.first_key_value().map(|(&at, _)| at)
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    /// Returns ids and timeouts, sorted.
    pub(crate) fn timeouts(&self) -> Vec<(SessionId, Millis)> {
        let mut timeouts: Vec<_> = self.by_id.iter().map(|(id, session)| (*id, session.timeout)).collect();
        timeouts.sort_unstable();
        timeouts
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns ids, sorted.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

/// Returns the first multiple of `interval` after `now`.
pub(crate) fn next_multiple(now: Millis, interval: Millis) -> Millis {
    let interval = interval.0.max(1);
    Millis((now.0 / interval).saturating_add(1).saturating_mul(interval))
}

fn leave_bucket(buckets: &mut BTreeMap<Millis, BTreeSet<SessionId>>, bucket: Millis, id: SessionId) {
    if let Some(ids) = buckets.get_mut(&bucket) {
        ids.remove(&id);
        if ids.is_empty() {
            buckets.remove(&bucket);
        }
    }
}

/// Returns the next id of the same server.
fn after(id: SessionId) -> SessionId {
    SessionId((id.0 & !COUNT) | (id.0.wrapping_add(1) & COUNT))
}

/// Returns the first id, in ZooKeeper's way: the server in the first byte, the time of the start below it, and room
/// to count. The seed changes the start of the count.
fn first_id(wall: UnixMillis, seed: u64) -> SessionId {
    let time = (wall.0 << 16) & 0x00ff_ffff_ffff_0000;
    let salt = if seed == 0 { 0 } else { fastrand::Rng::with_seed(seed).i64(0..0x8000) };
    SessionId((SERVER << 56) | time | salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_expires_at_the_tick_after_its_timeout() {
        let mut sessions = Sessions::new(Millis(2_000), 0);
        let id = SessionId(7);
        sessions.create(id, Millis(4_000), Millis(1_000));
        assert_eq!(sessions.next_expiry(), Some(Millis(6_000)));
        assert_eq!(sessions.expired(Millis(5_999)), None);
        assert_eq!(sessions.expired(Millis(6_000)), Some(id));
        assert!(sessions.touch(id, Millis(2_000)));
        assert_eq!(sessions.next_expiry(), Some(Millis(8_000)), "a multiple of the tick is rounded up too");
        sessions.remove(id);
        assert_eq!(sessions.next_expiry(), None);
        assert!(!sessions.touch(id, Millis(2_000)));
    }

    #[test]
    fn ids_continue_after_the_highest_known() {
        let mut sessions = Sessions::new(Millis(2_000), 0);
        let first = sessions.next_id(UnixMillis(1));
        assert_eq!(first, SessionId(0x0100_0000_0001_0000));
        sessions.create(first, Millis(1), Millis(0));
        assert_eq!(sessions.next_id(UnixMillis(1)), SessionId(first.0 + 1));
    }

    #[test]
    fn servers_of_an_ensemble_give_ids_with_their_numbers_and_never_the_same_twice() {
        let mut sessions = Sessions::new(Millis(2_000), 0);
        let wall = UnixMillis(1);
        let ids = [1, 2, 2, 254, 300].map(|server| sessions.take_id_of(server, wall));
        assert_eq!(ids.map(|id| (id.0 >> 56) & 0xff), [1, 2, 2, 254, 254]);
        let low: BTreeSet<_> = ids.iter().map(|id| id.0 & COUNT).collect();
        assert_eq!(low.len(), 5, "also without the number");
        let next = SessionId((2 << 56) | (sessions.next_id(wall).0 & COUNT));
        sessions.create(next, Millis(1), Millis(0));
        assert_ne!(sessions.take_id_of(2, wall), next, "one of before");
    }

    #[test]
    fn ids_differ_between_starts_and_repeat_for_the_same_state() {
        let wall = UnixMillis(1_577_836_800_000);
        let start = |seed, last, highest: Option<SessionId>| {
            let mut sessions = Sessions { highest, ..Sessions::new(Millis(2_000), seed) };
            sessions.start_new_ids(wall, Zxid(last));
            sessions.next_id(wall)
        };
        let starts: Vec<_> = (0..1_000).map(|last| start(7, last, None)).collect();
        for (n, id) in starts.iter().enumerate() {
            assert_eq!(*id, start(7, i64::try_from(n).unwrap(), None));
            assert_eq!(id.0 >> 56, SERVER);
        }
        let mut sorted: Vec<_> = starts.iter().map(|id| id.0).collect();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 1_000), "far from each other");
        assert_ne!(start(7, 5, None), start(8, 5, None), "by the seed, too");
        assert_ne!(
            start(7, 5, None),
            start(7, 5, Some(SessionId(0x0100_0000_0000_0001))),
            "and by the highest id"
        );
    }

    #[test]
    fn an_id_in_use_is_skipped() {
        let mut sessions = Sessions::new(Millis(2_000), 0);
        sessions.start_new_ids(UnixMillis(1), Zxid(1));
        let first = sessions.next_id(UnixMillis(1));
        sessions.create(first, Millis(1), Millis(0));
        sessions.start_new_ids(UnixMillis(1), Zxid(1));
        sessions.next_id = Some(first);
        assert_eq!(sessions.next_id(UnixMillis(1)), after(first));
        assert_eq!(after(SessionId(0x01ff_ffff_ffff_ffff)), SessionId(0x0100_0000_0000_0000));
    }
}
