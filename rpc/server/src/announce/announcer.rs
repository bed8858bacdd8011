//! Life of a server's entries in the registry: made as soon as the registry lets them, kept, and withdrawn at the end.

use std::future::poll_fn;
use std::pin::pin;
use std::process;
use std::task::Poll;
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
    /// Hears of each session that may own entries, before it does.
    tell: T,
}

impl<T: Fn(&Registry)> Announcer<T> {
    pub(crate) fn new(
        registry: Registry,
        services: Vec<String>,
        instance: Instance,
        options: RegisterOptions,
        tell: T,
    ) -> Self {
        Self { registry, services, instance, options, tell }
    }

    /// Makes the entries once the registry is there.
    pub(crate) async fn announce(&self) -> Result<Vec<Registration>, Error> {
        let mut entries = Vec::new();
        for service in &self.services {
            entries.push(self.register(service).await?);
        }
        Ok(entries)
    }

    /// Makes the entries, and tries again until that succeeds: a server serves while the registry is away or refuses it.
    pub(crate) async fn announce_at_last(&self) -> Vec<Registration> {
        let mut entries = Vec::new();
        for service in &self.services {
            entries.push(self.register_at_last(service).await);
        }
        entries
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
        let mut random = fastrand::Rng::with_seed(process::id().into());
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

    /// Keeps the entries that `registered` gives until `end` completes, and then withdraws them within [`GOODBYE`]. If there are
    /// none by then, the attempt to make them is given up.
    pub(crate) async fn keep(
        &self,
        registered: impl Future<Output = Vec<Registration>>,
        end: impl Future<Output = ()>,
    ) {
        let mut end = pin!(end);
        let mut entries = select! {
            biased;
            () = &mut end => return,
            entries = registered => entries,
        };
        loop {
            select! {
                biased;
                () = &mut end => break,
                // An entry that is gone for good ends no server.
                Some(()) = any_changed(&mut entries) => (self.tell)(&self.registry),
                else => {
                    end.await;
                    break;
                }
            }
        }
        match timeout(GOODBYE, withdraw(entries)).await {
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

/// Waits until the state of an entry has changed; `None` if all are gone for good.
async fn any_changed(entries: &mut [Registration]) -> Option<()> {
    let mut changes: Vec<_> = entries.iter_mut().map(|entry| Box::pin(entry.changed())).collect();
    poll_fn(|cx| {
        let mut has_changed = false;
        changes.retain_mut(|change| match change.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(state) => {
                has_changed |= state.is_some();
                false
            }
        });
        match (has_changed, changes.is_empty()) {
            (true, _) => Poll::Ready(Some(())),
            (false, true) => Poll::Ready(None),
            (false, false) => Poll::Pending,
        }
    })
    .await
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
