//! Life of a server's entries in the registry: made as soon as the registry lets them, kept, and withdrawn at the end.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use common::log::quietly;
use common::{Backoff, Millis};
use registry::{ConnectionState, Error, Instance, RegisterOptions, Registration, Registry};
use tokio::select;
use tokio::time::{sleep, timeout};

use crate::open_connections::OpenConnections;

/// Longest wait for each of the registry's answers when a server stops.
pub(crate) const GOODBYE: Duration = Duration::from_secs(2);

/// Pauses between attempts to register.
const RETRY: Backoff = Backoff::new(Millis(1_000), Millis(2_000));

/// Keeps one server announced, under the name of each of its services.
pub(crate) struct Announcer<T> {
    registry: Registry,
    services: Vec<String>,
    instance: Instance,
    options: RegisterOptions,
    /// Seed of the pauses between attempts.
    seed: u64,
    /// Hears of each session that may own entries, before it does.
    tell: T,
}

impl<T: Fn(&Registry)> Announcer<T> {
    pub(crate) fn new(
        registry: Registry,
        services: Vec<String>,
        instance: Instance,
        options: RegisterOptions,
        seed: u64,
        tell: T,
    ) -> Self {
        Self { registry, services, instance, options, seed, tell }
    }

    /// Makes the entries once the registry is there.
    pub(crate) async fn announce(&self) -> Result<Vec<Registration>, Error> {
        let mut entries = Vec::new();
        for service in &self.services {
            entries.push(self.register(service).await?);
        }
        Ok(entries)
    }

    /// Returns the entries, none of which is made yet. Each is tried again until it succeeds: a server serves while the registry
    /// is away or refuses it, and a service that is refused does not hide the others.
    pub(crate) fn entries(&self) -> Entries<impl Future<Output = Registration> + use<'_, T>> {
        let wanted = self.services.iter().map(|service| Box::pin(self.register_at_last(service)));
        Entries { wanted: wanted.collect(), made: Vec::new() }
    }

    async fn register(&self, service: &str) -> Result<Registration, Error> {
        self.connected().await?;
        (self.tell)(&self.registry);
        let (instance, options) = (self.instance.clone(), self.options.clone());
        let registration = self.registry.register_with(service, instance, options).await?;
        // The session may have expired and been replaced.
        (self.tell)(&self.registry);
        Ok(registration)
    }

    async fn register_at_last(&self, service: &str) -> Registration {
        let mut random = self.jitter();
        let mut failures = 0;
        loop {
            let pause = match self.register(service).await {
                Ok(registration) => return registration,
                Err(Error::Closed) => {
                    quietly(|| tracing::warn!("the registry is closed: this server stays unannounced"));
                    std::future::pending().await
                }
                Err(error) => {
                    let pause = RETRY.pause(failures, &mut random);
                    quietly(|| tracing::warn!(service, %error, %pause, "not registered yet; trying again"));
                    pause
                }
            };
            sleep(pause.into()).await;
            failures += 1;
        }
    }

    fn jitter(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed)
    }

    /// Makes the entries that are wanted and keeps them until `end` completes, and then withdraws them within [`GOODBYE`].
    /// Attempts to make one are given up by then.
    pub(crate) async fn keep<F>(&self, mut entries: Entries<F>, end: impl Future<Output = ()>)
    where
        F: Future<Output = Registration>,
    {
        let mut end = pin!(end);
        loop {
            select! {
                biased;
                () = &mut end => break,
                // An entry that is gone for good ends no server.
                Some(()) = entries.progress() => (self.tell)(&self.registry),
                else => {
                    end.await;
                    break;
                }
            }
        }
        match timeout(GOODBYE, withdraw(entries.made)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => quietly(|| tracing::warn!(%error, "cannot withdraw from the registry")),
            Err(_) => quietly(|| tracing::warn!("cannot withdraw from the registry: no answer in time")),
        }
    }

    /// Waits until there is a session.
    async fn connected(&self) -> Result<(), Error> {
        let mut states = self.registry.connection();
        loop {
            match states.current() {
                ConnectionState::Connected => return Ok(()),
                ConnectionState::Closed => return Err(Error::Closed),
                _ => drop(states.changed().await),
            }
        }
    }
}

/// Entries of a server in the registry, one for each service.
pub(crate) struct Entries<F> {
    /// Attempts, side by side, to make those that are not there yet.
    wanted: Vec<Pin<Box<F>>>,
    made: Vec<Registration>,
}

impl<F: Future<Output = Registration>> Entries<F> {
    /// Takes entries that are made in place of the attempts.
    pub(crate) fn are_made(&mut self, entries: Vec<Registration>) {
        self.wanted.clear();
        self.made = entries;
    }

    /// Waits until all are made. Cancel-safe.
    pub(crate) async fn all_made(&mut self) {
        poll_fn(|cx| {
            self.made.append(&mut take_ready(&mut self.wanted, cx));
            if self.wanted.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits until an entry is made, or the state of one has changed; `None` if nothing will happen any more. Cancel-safe.
    async fn progress(&mut self) -> Option<()> {
        let Self { wanted, made } = self;
        let mut new = Vec::new();
        let happened = {
            let mut changes: Vec<_> = made.iter_mut().map(|entry| Box::pin(entry.changed())).collect();
            poll_fn(|cx| {
                new = take_ready(wanted, cx);
                let changed = take_ready(&mut changes, cx);
                if !new.is_empty() || changed.iter().any(Option::is_some) {
                    Poll::Ready(Some(()))
                } else if wanted.is_empty() && changes.is_empty() {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                }
            })
            .await
        };
        made.append(&mut new);
        happened
    }
}

/// Polls all futures, takes out those that are complete, and returns their results.
fn take_ready<F: Future>(futures: &mut Vec<Pin<Box<F>>>, cx: &mut Context<'_>) -> Vec<F::Output> {
    let mut ready = Vec::new();
    futures.retain_mut(|future| match future.as_mut().poll(cx) {
        Poll::Pending => true,
        Poll::Ready(result) => {
            ready.push(result);
            false
        }
    });
    ready
}

/// Withdraws all entries that can be withdrawn; returns the last error.
async fn withdraw(entries: Vec<Registration>) -> Result<(), Error> {
    let mut outcome = Ok(());
    for entry in entries {
        if let Err(error) = entry.drain(Duration::ZERO).await {
            outcome = Err(error);
        }
    }
    outcome
}

/// Waits until all clients have noticed that this server has left the registry, and closed their connections.
pub(crate) async fn clients_gone(mut open: OpenConnections, bound: Duration) {
    let _ = timeout(bound, open.all_closed()).await;
}

#[cfg(test)]
mod tests {
    use crate::announce::Announcement;

    use super::*;

    #[tokio::test]
    async fn servers_pause_for_different_times_before_they_try_again() {
        let registry = Registry::embedded().await.unwrap();
        let pause = |identity: &str| {
            let announcement = Announcement::new(&registry);
            let announcer = announcement.into_announcer(Vec::new(), identity, "host".into(), 1);
            RETRY.pause(0, &mut announcer.jitter())
        };
        assert_eq!(pause("1-5f"), pause("1-5f"));
        let pauses: std::collections::BTreeSet<_> = (0..100).map(|n| pause(&format!("1-{n}"))).collect();
        assert!(pauses.len() > 50, "{pauses:?}");
    }
}
