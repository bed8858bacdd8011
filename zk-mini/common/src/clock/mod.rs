//! The clock of a shell: tokio's, or one that a test may hold and move for a server and its clients together.

mod member;
mod shared;
mod sleep;
mod tokio_clock;

use std::pin::pin;
use std::time::Duration;

use crate::Millis;
pub use shared::SharedClock;
pub use tokio_clock::TokioClock;

/// Tells a core's time, in milliseconds. A clone is the same clock.
///
/// It is tokio's clock, or that of a server for tests: then it shows the server's time, stands still while the server's clock is
/// held, and moves with it.
///
/// ```
/// use std::time::Duration;
/// use zk_mini_common::{Clock, Millis};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let clock = Clock::start();
/// clock.sleep_until(Some(Millis(40))).await;
/// assert_eq!(clock.now(), Millis(40));
/// assert_eq!(clock.timeout(Duration::from_millis(10), std::future::pending::<()>()).await, None);
/// assert_eq!(clock.now(), Millis(50));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Tokio(TokioClock),
    Shared(SharedClock),
}

impl Clock {
    /// Starts a clock at zero. It is tokio's, so that it stands still where a test has paused that.
    #[must_use]
    pub fn start() -> Self {
        Self { source: Source::Tokio(TokioClock::start()) }
    }

    /// Returns the time since the start, rounded down.
    #[must_use]
    pub fn now(&self) -> Millis {
        match &self.source {
            Source::Tokio(clock) => clock.now(),
            Source::Shared(clock) => clock.now(),
        }
    }

    /// Waits until the clock shows `deadline`; for ever if there is none, or none that the clock can show.
    pub async fn sleep_until(&self, deadline: Option<Millis>) {
        match &self.source {
            Source::Tokio(clock) => clock.sleep_until(deadline).await,
            Source::Shared(clock) => clock.sleep_until(deadline).await,
        }
    }

    /// Waits for this time.
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(Some(self.now() + Millis::from(time))).await;
    }

    /// Waits for a future, but no longer than this time; then it is dropped, and `None` returned.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.sleep(limit) => None,
        }
    }

    /// Makes a task take part in moves of this clock: they wait until it has acted on what has woken it. For tasks that sleep
    /// by this clock, or that others wait for. It takes part from this call on, until it ends or is dropped. Without effect if nobody
    /// can hold the clock.
    ///
    /// ```
    /// use zk_mini_common::{Clock, Millis};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let clock = Clock::start();
    /// let sleeper = clock.clone();
    /// let task = clock.attend(async move { sleeper.sleep_until(Some(Millis(3_600_000))).await });
    /// tokio::spawn(task).await.unwrap();
    /// assert_eq!(clock.now(), Millis(3_600_000));
    /// # }
    /// ```
    pub fn attend<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        let member = match &self.source {
            Source::Tokio(_) => None,
            Source::Shared(clock) => Some(clock.join()),
        };
        async move {
            match member {
                Some(member) => member.run(pin!(task)).await,
                None => task.await,
            }
        }
    }
}
