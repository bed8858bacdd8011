//! Sleep by a shared clock.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::shared::{SharedClock, Time};
use crate::Millis;

/// A task that sleeps. The owner of the clock wakes it while the clock is held, a timer while it runs.
struct Sleeper<'a> {
    clock: &'a SharedClock,
    deadline: Millis,
    /// Place among the sleepers, once it has slept.
    key: Option<(Millis, u64)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl SharedClock {
    /// Waits until the clock shows `deadline`; for ever if there is none.
    pub(super) async fn sleep_until(&self, deadline: Option<Millis>) {
        let Some(deadline) = deadline else { return pending().await };
        let mut sleeper = Sleeper { clock: self, deadline, key: None, timer: None };
        poll_fn(|cx| sleeper.poll(cx)).await;
    }
}

impl Sleeper<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(time) = self.register(cx) else { return Poll::Ready(()) };
            let Some(at) = time.instant(self.deadline) else {
                self.timer = None;
                return Poll::Pending;
            };
            let timer = match self.timer.take() {
                Some(timer) if timer.deadline() == at => timer,
                _ => {
                    let _entered = self.clock.timers().enter();
                    Box::pin(sleep_until(at))
                }
            };
            ready!(self.timer.insert(timer).as_mut().poll(cx));
            self.timer = None;
        }
    }

    /// Lets the owner of the clock wake the task, and returns the time; `None` if the deadline has come.
    fn register(&mut self, cx: &mut Context<'_>) -> Option<Time> {
        let mut state = self.clock.lock();
        let time = state.time;
        if self.clock.reading(time) >= self.deadline {
            return None;
        }
        let key = *self.key.get_or_insert_with(|| (self.deadline, state.next_number()));
        if state.sleepers.get(&key).is_none_or(|known| !known.will_wake(cx.waker())) {
            let earlier = state.sleepers.insert(key, cx.waker().clone());
            // A waker may be the last owner of a task that joins or leaves the clock when it is dropped.
            drop(state);
            drop(earlier);
        }
        Some(time)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let waker = self.clock.lock().sleepers.remove(&key);
        drop(waker);
    }
}

impl Time {
    /// Returns the instant at which the clock shows `deadline`; `None` if it is held, or cannot show that.
    fn instant(self, deadline: Millis) -> Option<Instant> {
        self.since?.checked_add(Duration::from(deadline).saturating_sub(self.shown))
    }
}
