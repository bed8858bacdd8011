//! Places of connections: their number is bounded, and one that waits for a request makes room for a new one. So those who
//! open connections and send nothing keep nobody out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Number of connections above the limit that are told so at a time. Others are closed without an answer.
const TURNED_AWAY: usize = 16;

/// Places of connections.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    max: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Number given last, to a place or to the beginning of its wait.
    last: u64,
    /// Connections that wait for a request, by the beginning of the wait.
    waiting: BTreeMap<u64, Arc<Notify>>,
    /// Number of connections with a place, waiting or busy.
    taken: usize,
    turned_away: usize,
}

/// Place of a connection, or of one that is told that there is none. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    places: Places,
    /// Key among those that wait; `None` while it is busy, or if its place was given to another.
    waits: Mutex<Option<u64>>,
    given_away: Arc<Notify>,
    is_turned_away: bool,
    /// An answer is complete, and perhaps not yet with its client.
    is_answered: AtomicBool,
}

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, state: Arc::default() }
    }

    /// Takes a place. Returns `None` if even those who are to be told that there is none are too many.
    pub(crate) fn take(&self) -> Option<Arc<ConnectionPlace>> {
        let mut state = self.lock();
        let mut is_turned_away = false;
        if state.taken >= self.max {
            if let Some((_, longest)) = state.waiting.pop_first() {
                // The other one still counts until it has noticed: both do for a moment.
                longest.notify_one();
            } else if state.turned_away < TURNED_AWAY {
                is_turned_away = true;
            } else {
                return None;
            }
        }
        if is_turned_away {
            state.turned_away += 1;
        } else {
            state.taken += 1;
        }
        drop(state);
        let place = Arc::new(ConnectionPlace {
            places: self.clone(),
            waits: Mutex::new(None),
            given_away: Arc::default(),
            is_turned_away,
            is_answered: AtomicBool::new(false),
        });
        place.wait();
        Some(place)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPlace {
    /// Returns true if the connection is one too many.
    pub(crate) fn is_turned_away(&self) -> bool {
        self.is_turned_away
    }

    /// Waits until another connection gets the place.
    pub(crate) async fn given_away(&self) {
        self.given_away.notified().await;
    }

    /// Notes that the connection waits for a request.
    pub(crate) fn wait(&self) {
        if self.is_turned_away {
            return;
        }
        let mut state = self.places.lock();
        state.last += 1;
        let at = state.last;
        state.waiting.insert(at, Arc::clone(&self.given_away));
        if let Some(before) = self.waits().replace(at) {
            state.waiting.remove(&before);
        }
    }

    /// Notes that an answer is complete. The connection waits for a request once the client has it.
    pub(crate) fn answered(&self) {
        self.is_answered.store(true, Ordering::Relaxed);
    }

    /// Notes that the transport has taken all that was written.
    pub(crate) fn sent(&self) {
        if self.is_answered.swap(false, Ordering::Relaxed) {
            self.wait();
        }
    }

    /// Notes that a request is being answered.
    pub(crate) fn work(&self) {
        self.is_answered.store(false, Ordering::Relaxed);
        let mut state = self.places.lock();
        if let Some(at) = self.waits().take() {
            state.waiting.remove(&at);
        }
    }

    fn waits(&self) -> MutexGuard<'_, Option<u64>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.work();
        let mut state = self.places.lock();
        if self.is_turned_away {
            state.turned_away -= 1;
        } else {
            state.taken -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_given_away(place: &ConnectionPlace) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(place.given_away()).as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn the_connection_that_waits_longest_makes_room() {
        let places = Places::new(3);
        let [a, b, c] = [0; 3].map(|_| places.take().unwrap());
        a.work();
        a.wait();
        b.work();
        let _d = places.take().unwrap();
        assert!(is_given_away(&c), "it waits longest: one was asked meanwhile, one is busy");
        assert!(!is_given_away(&a) && !is_given_away(&b));
        drop(c);
        let _e = places.take().unwrap();
        assert!(is_given_away(&a));
    }

    #[test]
    fn those_above_the_limit_are_told_or_closed() {
        let places = Places::new(2);
        let busy = [0; 2].map(|_| places.take().unwrap());
        busy.iter().for_each(|place| place.work());
        let told: Vec<_> = (0..TURNED_AWAY).map(|_| places.take().unwrap()).collect();
        assert!(told.iter().all(|place| place.is_turned_away()));
        assert!(places.take().is_none());
        drop(told);
        busy[0].wait();
        assert!(!places.take().unwrap().is_turned_away());
        drop(busy);
        let state = places.lock();
        assert_eq!((state.taken, state.turned_away, state.waiting.len()), (0, 0, 0));
    }
}
