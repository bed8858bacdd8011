//! Sessions, and when they end: in buckets at multiples of the tick, so that a ping costs nothing as long as
//! the session stays in its bucket. Never early, at most one tick late, as ZooKeeper's `ExpiryQueue`.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt};
use zk_wire::{Millis, SessionId, UnixMillis, Zxid};

use crate::core::message::ConnId;

/// The first byte of the ids that this server gives.
const SERVER: i64 = 1;

/// A session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    /// As negotiated at its creation.
    pub(crate) timeout: Millis,
    /// As negotiated by its latest connection.
    pub(crate) current_timeout: Millis,
    /// The connection that it is used from.
    pub(crate) conn: Option<ConnId>,
    /// The bucket that it is in.
    pub(crate) expires: Millis,
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    by_id: HashMap<SessionId, Session>,
    buckets: BTreeMap<Millis, BTreeSet<SessionId>>,
    tick: Millis,
    seed: u64,
    /// The highest id of this server that is known.
    highest: Option<SessionId>,
    next_id: Option<SessionId>,
}

impl Sessions {
    pub(crate) fn new(tick: Millis, seed: u64) -> Self {
        Self { by_id: HashMap::new(), buckets: BTreeMap::new(), tick, seed, highest: None, next_id: None }
    }

    /// The id of the next session to be created.
    pub(crate) fn next_id(&self, wall: UnixMillis) -> SessionId {
        let mut id = self.next_id.unwrap_or_else(|| first_id(wall, self.seed));
        while self.by_id.contains_key(&id) {
            id = after(id);
        }
        id
    }

    /// Begins a new life of a server, from what is left of the earlier ones: the last transaction and the highest id
    /// that is known. Sessions may have ended of which nothing is left, and their passwords would fit again; so the ids
    /// of every life have a beginning of their own, even where the clock shows each of them the same time. The same
    /// seed, time and remains give the same ids.
    pub(crate) fn begin_anew(&mut self, wall: UnixMillis, last: Zxid) {
        let highest = self.highest.map_or(0, |id| id.0);
        let mut chance = fastrand::Rng::with_seed(self.seed);
        for part in [wall.0, last.0, highest] {
            chance = fastrand::Rng::with_seed(chance.u64(..) ^ part.cast_unsigned());
        }
        self.next_id = Some(SessionId((SERVER << 56) | chance.i64(0..1 << 55)));
    }

    /// Gives no id that others have given.
    pub(crate) fn go_on_after(&mut self, others: &Self) {
        self.next_id = self.next_id.max(others.next_id);
    }

    /// Begins a session, or gives an existing one another timeout.
    pub(crate) fn create(&mut self, id: SessionId, timeout: Millis, now: Millis) {
        // The members of an ensemble give ids of their own.
        if id.0 >> 56 == SERVER {
            self.highest = self.highest.max(Some(id));
            self.next_id = self.next_id.max(Some(after(id)));
        }
        let session = self.by_id.entry(id).or_insert(Session {
            timeout,
            current_timeout: timeout,
            conn: None,
            expires: Millis(0),
        });
        session.timeout = timeout;
        session.current_timeout = timeout;
        self.touch(id, now);
    }

    /// Notes that something was heard of a session. Whether there is such a session.
    pub(crate) fn touch(&mut self, id: SessionId, now: Millis) -> bool {
        let Some(session) = self.by_id.get_mut(&id) else { return false };
        let expires = next_multiple(now + session.current_timeout, self.tick);
        if expires != session.expires {
            leave_bucket(&mut self.buckets, session.expires, id);
            session.expires = expires;
            self.buckets.entry(expires).or_default().insert(id);
        }
        true
    }

    /// Ends a session.
    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        leave_bucket(&mut self.buckets, session.expires, id);
        Some(session)
    }

    /// A session whose time is over, if there is one; it is left in place.
    pub(crate) fn expired(&self, now: Millis) -> Option<SessionId> {
        let (&at, ids) = self.buckets.first_key_value()?;
        if at <= now { ids.first().copied() } else { None }
    }

    /// When the next session expires if nothing is heard.
    pub(crate) fn next_expiry(&self) -> Option<Millis> {
        self.buckets.first_key_value().map(|(&at, _)| at)
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    /// Their ids and timeouts, sorted.
    pub(crate) fn timeouts(&self) -> Vec<(SessionId, Millis)> {
        let mut timeouts: Vec<_> = self.by_id.iter().map(|(id, session)| (*id, session.timeout)).collect();
        timeouts.sort_unstable();
        timeouts
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Their ids, sorted.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

/// The first multiple of `interval` after `now`.
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

/// The id after this one; of the same server.
fn after(id: SessionId) -> SessionId {
    const COUNT: i64 = 0x00ff_ffff_ffff_ffff;
    SessionId((id.0 & !COUNT) | (id.0.wrapping_add(1) & COUNT))
}

/// ZooKeeper's way to unique ids: the server in the first byte, the time of the start below it, and room to
/// count. The seed goes where the counting begins.
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
    fn ids_go_on_after_the_highest_known() {
        let mut sessions = Sessions::new(Millis(2_000), 0);
        let first = sessions.next_id(UnixMillis(1));
        assert_eq!(first, SessionId(0x0100_0000_0001_0000));
        sessions.create(first, Millis(1), Millis(0));
        assert_eq!(sessions.next_id(UnixMillis(1)), SessionId(first.0 + 1));
    }

    #[test]
    fn every_life_of_a_server_gives_ids_of_its_own_and_the_same_remains_the_same_ones() {
        let wall = UnixMillis(1_577_836_800_000);
        let life = |seed, last, highest: Option<SessionId>| {
            let mut sessions = Sessions { highest, ..Sessions::new(Millis(2_000), seed) };
            sessions.begin_anew(wall, Zxid(last));
            sessions.next_id(wall)
        };
        let lives: Vec<_> = (0..1_000).map(|last| life(7, last, None)).collect();
        for (n, id) in lives.iter().enumerate() {
            assert_eq!(*id, life(7, i64::try_from(n).unwrap(), None));
            assert_eq!(id.0 >> 56, SERVER);
        }
        let mut sorted: Vec<_> = lives.iter().map(|id| id.0).collect();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 1_000), "not even near to each other");
        assert_ne!(life(7, 5, None), life(8, 5, None), "by the seed, too");
        assert_ne!(
            life(7, 5, None),
            life(7, 5, Some(SessionId(0x0100_0000_0000_0001))),
            "and by the highest id"
        );
    }

    #[test]
    fn an_id_that_is_in_use_is_passed_over() {
        let mut sessions = Sessions::new(Millis(2_000), 0);
        sessions.begin_anew(UnixMillis(1), Zxid(1));
        let first = sessions.next_id(UnixMillis(1));
        sessions.create(first, Millis(1), Millis(0));
        sessions.begin_anew(UnixMillis(1), Zxid(1));
        sessions.next_id = Some(first);
        assert_eq!(sessions.next_id(UnixMillis(1)), after(first));
        assert_eq!(after(SessionId(0x01ff_ffff_ffff_ffff)), SessionId(0x0100_0000_0000_0000));
    }
}
