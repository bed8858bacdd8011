//! Streams of what changes: each is a shell around a follower's `current` and `changed`.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::watch;
use tokio::task::unconstrained;

use crate::members::Members;
use crate::registration::{Registration, RegistrationState, Report};
use crate::services::{ServiceNames, Services};
use crate::state::{ConnectionState, ConnectionStates};
use crate::subscription::Subscription;

/// Stream of values: first the present one, then each newer one. A slow reader misses some and sees the latest next; nothing
/// is queued.
///
/// ```
#[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry::Error> {
/// use futures_util::StreamExt;
/// use registry::{Instance, Registry};
///
/// let registry = Registry::embedded().await?;
/// let mut echo = registry.subscribe("echo").await?.into_stream();
/// assert_eq!(echo.next().await.map(|members| members.len()), Some(0));
/// let _registration = registry.register("echo", Instance::new("127.0.0.1", 8080)).await?;
/// assert_eq!(echo.next().await.map(|members| members.len()), Some(1));
///
/// registry.close().await?;
/// assert!(echo.next().await.is_some_and(|last| last.stale));
/// assert_eq!(echo.next().await, None);
/// # Ok(())
/// # }
#[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Updates<T> {
    /// Next value, and the stream of those after it; `None` after the last one.
    next: Option<Next<T>>,
}

type Next<T> = Pin<Box<dyn Future<Output = Option<(T, Updates<T>)>> + Send>>;

/// Handle that has a present value and waits for newer ones.
pub(crate) trait Follow: Send + 'static {
    type Value: Send + 'static;

    fn current(&self) -> Self::Value;

    /// Waits for a newer value than at the last call; `None` if there will be none. Dropping the future loses nothing.
    fn changed(&mut self) -> impl Future<Output = Option<Self::Value>> + Send;
}

impl<T: Send + 'static> Updates<T> {
    pub(crate) fn of<F: Follow<Value = T>>(mut follower: F) -> Self {
        Self::new(async move {
            let present = follower.current();
            // A change that was not seen yet is the present value: it must not be told twice. So this look is not one that
            // tokio may put off because the task has worked for long.
            let newer = match poll_once(unconstrained(follower.changed())).await {
                Poll::Ready(newer) => newer,
                Poll::Pending => None,
            };
            Some((newer.unwrap_or(present), Self::after(follower)))
        })
    }

    fn after<F: Follow<Value = T>>(mut follower: F) -> Self {
        Self::new(async move {
            let value = follower.changed().await?;
            Some((value, Self::after(follower)))
        })
    }

    fn new(next: impl Future<Output = Option<(T, Self)>> + Send + 'static) -> Self {
        Self { next: Some(Box::pin(next)) }
    }
}

impl<T> Stream for Updates<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let (value, after) = ready!(next.as_mut().poll(cx)).unzip();
        self.next = after.and_then(|after| after.next);
        Poll::Ready(value)
    }
}

impl<T> fmt::Debug for Updates<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updates").field("is_over", &self.next.is_none()).finish()
    }
}

impl Subscription {
    /// Returns a stream of the members: first the present ones, then each newer list. It ends when the registry is closed.
    pub fn into_stream(self) -> Updates<Arc<Members>> {
        Updates::of(self)
    }
}

impl Follow for Subscription {
    type Value = Arc<Members>;

    fn current(&self) -> Arc<Members> {
        self.current()
    }

    fn changed(&mut self) -> impl Future<Output = Option<Arc<Members>>> + Send {
        self.changed()
    }
}

impl Services {
    /// Returns a stream of the names: first the present ones, then each newer set. It ends when the registry is closed.
    pub fn into_stream(self) -> Updates<Arc<ServiceNames>> {
        Updates::of(self)
    }
}

impl Follow for Services {
    type Value = Arc<ServiceNames>;

    fn current(&self) -> Arc<ServiceNames> {
        self.current()
    }

    fn changed(&mut self) -> impl Future<Output = Option<Arc<ServiceNames>>> + Send {
        self.changed()
    }
}

impl ConnectionStates {
    /// Returns a stream of the states: first the present one, then each newer one. It ends after
    /// [`ConnectionState::Closed`].
    pub fn into_stream(self) -> Updates<ConnectionState> {
        Updates::of(self)
    }
}

impl Follow for ConnectionStates {
    type Value = ConnectionState;

    fn current(&self) -> ConnectionState {
        self.current()
    }

    fn changed(&mut self) -> impl Future<Output = Option<ConnectionState>> + Send {
        self.changed()
    }
}

impl Registration {
    /// Returns a stream of the states: first the present one, then each newer one. It ends after a final state, or when the
    /// registry is closed. It does not keep the instance registered.
    pub fn states(&self) -> Updates<RegistrationState> {
        Updates::of(States { reports: self.reports(), seen: self.state() })
    }
}

/// Follower of a registration's state.
struct States {
    reports: watch::Receiver<Report>,
    seen: RegistrationState,
}

impl Follow for States {
    type Value = RegistrationState;

    fn current(&self) -> RegistrationState {
        self.seen.clone()
    }

    async fn changed(&mut self) -> Option<RegistrationState> {
        let state = self.reports.wait_for(|report| report.state != self.seen).await.ok()?.state.clone();
        self.seen.clone_from(&state);
        Some(state)
    }
}

/// Polls a future once.
async fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}
