//! A task that takes part in the moves of a shared clock. What wakes it is noticed: until it has acted and sleeps again, moves wait.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::shared::SharedClock;

/// Membership of a task. Dropping it leaves.
pub(super) struct Member {
    clock: SharedClock,
    id: u64,
    /// Waker of the task, and the one that notices.
    wakers: Option<(Waker, Waker)>,
}

impl SharedClock {
    /// Makes a task that is still to run a member.
    pub(super) fn join(&self) -> Member {
        let id = self.lock().join();
        Member { clock: self.clone(), id, wakers: None }
    }
}

impl Member {
    /// Runs the task.
    pub(super) async fn run<F: Future>(mut self, mut task: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| self.act(cx, task.as_mut())).await
    }

    fn act<F: Future>(&mut self, cx: &Context<'_>, task: Pin<&mut F>) -> Poll<F::Output> {
        let noticing = match self.wakers.take() {
            Some((known, noticing)) if known.will_wake(cx.waker()) => noticing,
            _ => {
                let (clock, task) = (self.clock.clone(), cx.waker().clone());
                Arc::new(Noticing { clock, id: self.id, task }).into()
            }
        };
        let (_, noticing) = self.wakers.insert((cx.waker().clone(), noticing));
        self.clock.lock().begin(self.id);
        let polled = task.poll(&mut Context::from_waker(noticing));
        self.clock.lock().end(self.id);
        self.clock.tell();
        polled
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let runtime = self.clock.lock().leave(self.id);
        drop(runtime);
        self.clock.tell();
    }
}

/// Waker of a member.
struct Noticing {
    clock: SharedClock,
    id: u64,
    task: Waker,
}

impl Wake for Noticing {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.clock.lock().wake(self.id);
        self.task.wake_by_ref();
    }
}
