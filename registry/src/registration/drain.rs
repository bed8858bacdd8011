//! The end of an instance that still serves.

use std::future::pending;
use std::time::Duration;

use zk_client::{Clock, SessionState, SessionStates};

use super::Registration;
use crate::error::Error;
use crate::status::Status;

/// Certainty with which a drained instance is out of the registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Drained {
    /// The servers have confirmed that it is gone.
    Confirmed,
    /// No server answered, but the session must have ended meanwhile on servers that work. Clients that cannot reach the
    /// servers either may still know the instance.
    Presumed,
}

impl Registration {
    /// Takes the instance out of the registry while it still serves, and returns when it is safe to refuse work: clients have
    /// had the time to hear of it. Final, as [`withdraw`](Self::withdraw).
    ///
    /// It publishes [`Status::Draining`], which stops new work from clients that look at the status, then withdraws, then
    /// waits for `grace`.
    ///
    /// # Grace
    /// The deletion is committed when the wait begins. Each server applies it and tells its watchers within milliseconds. A
    /// follower that is slow does so later, but one that is further behind than `syncLimit` ticks, by default 10 seconds, hangs
    /// up on its clients. So a second is enough for servers that are well. Add the
    /// [`spread`](crate::SubscribeOptions::spread) of the subscribers, and the time of the longest call if callers hold on to a
    /// choice.
    ///
    /// # While the registry is away
    /// It goes on trying. Once no server has been connected for one and a half session timeouts, servers that work have ended
    /// the session, and nobody finds the instance any more: then it waits for `grace`, and returns [`Drained::Presumed`]. Each
    /// connection keeps the session alive, so the time begins anew. Put a timeout around it for less; dropping the future
    /// withdraws in the background.
    ///
    /// ```
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry::Error> {
    /// use std::time::Duration;
    /// use registry::{Drained, Instance, Registry};
    ///
    /// let registry = Registry::embedded().await?;
    /// let registration = registry.register("demo", Instance::new("127.0.0.1", 8080)).await?;
    /// // On SIGTERM: goes on serving meanwhile, then closes the listener.
    /// assert_eq!(registration.drain(Duration::from_millis(10)).await?, Drained::Confirmed);
    /// # Ok(())
    /// # }
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
    /// ```
    ///
    /// # Errors
    /// [`Error::Refused`] if the servers refuse to delete the node: it stays until the session ends; [`Error::Closed`] if the
    /// registry was closed and no server confirmed it, or if its runtime has ended: likewise.
    pub async fn drain(self, grace: Duration) -> Result<Drained, Error> {
        let clock = self.client.clock();
        // A server is late by a tick at most: half a timeout or less.
        let gone = self.client.session_timeout().mul_f32(1.5);
        let withdrawal = async {
            // A failure hinders nothing: the instance goes all the same.
            let _ = self.set_status(Status::Draining).await;
            self.withdrawn().await
        };
        let drained = tokio::select! {
            biased;
            withdrawn = withdrawal => withdrawn.map(|()| Drained::Confirmed)?,
            () = unconnected(self.client.states(), &clock, gone) => {
                // A server that comes back now must not see it again.
                self.wish_withdrawn();
                Drained::Presumed
            }
        };
        clock.sleep_until(Some(clock.now() + grace.into())).await;
        Ok(drained)
    }
}

/// Waits until no server has been connected for this time; for ever if the client is closed before.
async fn unconnected(mut states: SessionStates, clock: &Clock, time: Duration) {
    loop {
        let lives = matches!(states.current(), SessionState::Connected(_) | SessionState::Closed(_));
        let deadline = if lives { None } else { Some(clock.now() + time.into()) };
        tokio::select! {
            changed = states.changed() => if changed.is_none() { return pending().await },
            () = clock.sleep_until(deadline) => return,
        }
    }
}
