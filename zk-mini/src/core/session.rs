//! Sessions, and when they end: in buckets at multiples of the tick, so that a ping costs nothing as long as
//! the session stays in its bucket. Never early, at most one tick late, as ZooKeeper's `ExpiryQueue`.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt};
use zk_wire::{Millis, SessionId, UnixMillis};

use super::ConnId;
use super::reap::next_multiple;

/// A session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    /// As negotiated at its creation.
    pub(super) timeout: Millis,
    /// As negotiated by its latest connection.
    pub(super) current_timeout: Millis,
    /// The connection that it is used from.
    pub(super) conn: Option<ConnId>,
    /// The bucket that it is in.
    pub(super) expires: Millis,
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    by_id: HashMap<SessionId, Session>,
    buckets: BTreeMap<Millis, BTreeSet<SessionId>>,
    tick: Millis,
    seed: u64,
    next_id: Option<SessionId>,
}

impl Sessions {
    pub(super) fn new(tick: Millis, seed: u64) -> Self {
        Self { by_id: HashMap::new(), buckets: BTreeMap::new(), tick, seed, next_id: None }
    }

    /// The id of the next session to be created.
    pub(super) fn next_id(&self, wall: UnixMillis) -> SessionId {
        self.next_id.unwrap_or_else(|| first_id(wall, self.seed))
    }

    /// Goes on, after a restart, from the time: sessions may have ended of which nothing is left, and their passwords
    /// would fit again.
    pub(super) fn begin_anew(&mut self, wall: UnixMillis) {
        self.next_id = self.next_id.max(Some(first_id(wall, self.seed)));
    }

    /// Gives no id that others have given.
    pub(super) fn go_on_after(&mut self, others: &Self) {
        self.next_id = self.next_id.max(others.next_id);
    }

    /// Begins a session, or gives an existing one another timeout.
    pub(super) fn create(&mut self, id: SessionId, timeout: Millis, now: Millis) {
        // The members of an ensemble give ids of their own.
        if id.0 >> 56 == SERVER {
            self.next_id = self.next_id.max(Some(SessionId(id.0.wrapping_add(1))));
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
    pub(super) fn touch(&mut self, id: SessionId, now: Millis) -> bool {
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
    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        leave_bucket(&mut self.buckets, session.expires, id);
        Some(session)
    }

    /// A session whose time is over, if there is one; it is left in place.
    pub(super) fn expired(&self, now: Millis) -> Option<SessionId> {
        let (&at, ids) = self.buckets.first_key_value()?;
        if at <= now { ids.first().copied() } else { None }
    }

    /// When the next session expires if nothing is heard.
    pub(super) fn next_expiry(&self) -> Option<Millis> {
        self.buckets.first_key_value().map(|(&at, _)| at)
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    /// Their ids and timeouts, sorted.
    pub(super) fn timeouts(&self) -> Vec<(SessionId, Millis)> {
        let mut timeouts: Vec<_> = self.by_id.iter().map(|(id, session)| (*id, session.timeout)).collect();
        timeouts.sort_unstable();
        timeouts
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Their ids, sorted.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

fn leave_bucket(buckets: &mut BTreeMap<Millis, BTreeSet<SessionId>>, bucket: Millis, id: SessionId) {
    if let Some(ids) = buckets.get_mut(&bucket) {
        ids.remove(&id);
        if ids.is_empty() {
            buckets.remove(&bucket);
        }
    }
}

/// The first byte of the ids that this server gives.
const SERVER: i64 = 1;

/// ZooKeeper's way to unique ids: the server in the first byte, the time of the start below it, and room to
/// count. The seed goes where the counting begins.
fn first_id(wall: UnixMillis, seed: u64) -> SessionId {
    let time = (wall.0 << 16) & 0x00ff_ffff_ffff_0000;
    let salt = if seed == 0 { 0 } else { fastrand::Rng::with_seed(seed).i64(0..0x8000) };
    SessionId((SERVER << 56) | time | salt)
}

/// The password of a session: a function of its id, the one of Apache ZooKeeper (Java's `Random` seeded with
/// id and constant), so that sessions can go on when a data directory moves from one server to the other.
pub(super) fn password(id: SessionId) -> [u8; 16] {
    const SECRET: i64 = 0xB341_5C00;
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = ((id.0 ^ SECRET).cast_unsigned() ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for word in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        let [_, _, bytes @ .., _, _] = state.to_be_bytes();
        word.copy_from_slice(&[bytes[3], bytes[2], bytes[1], bytes[0]]);
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_one_that_apache_zookeeper_makes() {
        // What `java.util.Random` gives.
        for (id, expected) in [
            (0x0100_0000_0001_0000, 0x8544_e06b_2edc_3db9_6bdf_90f9_278b_afc1),
            (-1, 0x20f6_2cb5_648d_c2d7_7147_1c8a_2486_a9ee_u128),
        ] {
            assert_eq!(password(SessionId(id)), expected.to_be_bytes());
        }
    }

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
}
