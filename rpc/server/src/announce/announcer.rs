//! Life of an entry in the registry: registered as soon as the registry lets it, kept, and withdrawn at the end.

use std::pin::pin;
use std::process;
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

/// Keeps one server announced.
pub(crate) struct Announcer<T> {
    registry: Registry,
    service: String,
    instance: Instance,
    options: RegisterOptions,
    /// Hears of each session that may own the entry, before it does.
    tell: T,
}

impl<T: Fn(&Registry)> Announcer<T> {
    pub(crate) fn new(
        registry: Registry,
        service: impl Into<String>,
        instance: Instance,
        options: RegisterOptions,
        tell: T,
    ) -> Self {
        Self { registry, service: service.into(), instance, options, tell }
    }

    /// Registers the server once the registry is there.
    pub(crate) async fn announce(&self) -> Result<Registration, Error> {
        self.connected().await?;
        (self.tell)(&self.registry);
        let (instance, options) = (self.instance.clone(), self.options.clone());
        let registration = self.registry.register_with(&self.service, instance, options).await?;
        // The session may have expired and been replaced.
        (self.tell)(&self.registry);
        Ok(registration)
    }

    /// Registers the server, and tries again until that succeeds: a server serves while the registry is away or refuses it.
    pub(crate) async fn announce_at_last(&self) -> Registration {
        let mut random = fastrand::Rng::with_seed(process::id().into());
        let mut failures = 0;
        loop {
            let pause = match self.announce().await {
                Ok(registration) => return registration,
                Err(Error::Closed) => {
                    quietly(|| tracing::warn!("the registry is closed: this server stays unannounced"));
                    std::future::pending().await
                }
                Err(error) => {
                    let pause = RETRY.pause(failures, &mut random);
                    quietly(|| tracing::warn!(%error, %pause, "not registered yet; trying again"));
                    pause
                }
            };
            sleep(pause.into()).await;
            failures += 1;
        }
    }

    /// Keeps the entry that `registered` gives until `end` completes, and then withdraws it within [`GOODBYE`]. If there is no
    /// entry by then, the attempt to make one is given up.
    pub(crate) async fn keep(
        &self,
        registered: impl Future<Output = Registration>,
        end: impl Future<Output = ()>,
    ) {
        let mut end = pin!(end);
        let mut registration = select! {
            biased;
            () = &mut end => return,
            registration = registered => registration,
        };
        loop {
            select! {
                biased;
                () = &mut end => break,
                // An entry that is gone for good ends no server.
                Some(_) = registration.changed() => (self.tell)(&self.registry),
                else => {
                    end.await;
                    break;
                }
            }
        }
        match timeout(GOODBYE, registration.drain(Duration::ZERO)).await {
            Ok(Ok(_)) => {}
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

/// Waits until all clients have noticed that this server has left the registry, and closed their connections.
pub(crate) async fn clients_gone(mut open: OpenConnections, bound: Duration) {
    let _ = timeout(bound, open.all_closed()).await;
}
