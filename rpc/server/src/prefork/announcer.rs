//! Entry of a worker in the registry: registered at the start, kept, and withdrawn at the end.

use std::cell::RefCell;
use std::process;

use common::log::quietly;
use common::{Backoff, Millis};
use registry::{ConnectionState, Instance, Registration, Registry};
use rpc_prefork::Worker;
use tokio::net::unix::pipe;
use tokio::select;
use tokio::time::{sleep, timeout};

use super::plan::{GOODBYE, Plan, WorkerError, stop_asked};

/// Pauses between attempts to register.
const RETRY: Backoff = Backoff::new(Millis(1_000), Millis(2_000));

/// Registers one worker, if there is a registry.
pub(crate) struct Announcer<'a> {
    worker: &'a Worker,
    plan: &'a Plan,
    service: String,
    instance: Instance,
    /// Stored as soon as it is open, because it has to be closed even after a later failure.
    registry: RefCell<Option<Registry>>,
}

impl<'a> Announcer<'a> {
    pub(crate) fn new(worker: &'a Worker, plan: &'a Plan, service: String, instance: Instance) -> Self {
        Self { worker, plan, service, instance, registry: RefCell::default() }
    }

    /// Registers the worker; `None` if there is no registry.
    pub(crate) async fn announce(&self) -> Result<Option<Registration>, WorkerError> {
        let Some(registry) = self.connect().await? else { return Ok(None) };
        // The parent can clean up from here on.
        self.tell_session();
        let registered = registry.register(&self.service, self.instance.clone());
        let registration = timeout(self.plan.connect_timeout, registered)
            .await
            .map_err(|_| WorkerError::NotRegistered)??;
        // The session may have expired and been replaced.
        self.tell_session();
        Ok(Some(registration))
    }

    /// Registers the worker, and tries again until that succeeds: a worker serves while the registry is away.
    pub(crate) async fn announce_at_last(&self) -> Option<Registration> {
        let mut random = fastrand::Rng::with_seed(process::id().into());
        let mut failures = 0;
        loop {
            let pause = match self.announce().await {
                Ok(registration) => return registration,
                Err(error) => {
                    let pause = RETRY.pause(failures, &mut random);
                    quietly(|| {
                        let slot = self.worker.slot();
                        tracing::warn!(slot, %error, %pause, "not registered yet; trying again");
                    });
                    pause
                }
            };
            sleep(pause.into()).await;
            failures += 1;
        }
    }

    /// Returns the open session, or opens one.
    async fn connect(&self) -> Result<Option<Registry>, WorkerError> {
        let Some(servers) = &self.plan.zookeeper else { return Ok(None) };
        let open = self.registry.borrow().clone();
        if let Some(registry) = open.filter(|open| open.connection().current() != ConnectionState::Closed) {
            return Ok(Some(registry));
        }
        let registry = Registry::builder()
            .servers(servers)
            .session_timeout(self.plan.session_timeout)
            .connect_timeout(self.plan.connect_timeout)
            .connect()
            .await?;
        *self.registry.borrow_mut() = Some(registry.clone());
        Ok(Some(registry))
    }

    /// Returns the credentials of the session, with which the parent can close it; empty without a session.
    pub(crate) fn note(&self) -> Vec<u8> {
        let registry = self.registry.borrow();
        let credentials = registry.as_ref().and_then(Registry::credentials);
        credentials.map(|credentials| credentials.to_bytes().to_vec()).unwrap_or_default()
    }

    fn tell_session(&self) {
        let note = self.note();
        // Between two sessions the earlier one may still hold the entry.
        if !note.is_empty()
            && let Err(error) = self.worker.set_note(&note)
        {
            quietly(|| tracing::warn!(%error, "cannot tell the parent the session"));
        }
    }

    /// Keeps the entry until the worker is asked to stop, and then withdraws it within [`GOODBYE`].
    pub(crate) async fn withdraw_when_asked(&self, stop: &pipe::Receiver, mut registration: Registration) {
        loop {
            let changed = select! {
                () = stop_asked(stop) => break,
                changed = registration.changed() => changed,
            };
            if changed.is_none() {
                stop_asked(stop).await;
                break;
            }
            self.tell_session();
        }
        match timeout(GOODBYE, registration.withdraw()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => quietly(|| tracing::warn!(%error, "cannot withdraw from the registry")),
            Err(_) => quietly(|| tracing::warn!("cannot withdraw from the registry: no answer in time")),
        }
    }

    /// Closes the session, if there is one. After a failure the parent's helper tries again.
    pub(crate) async fn say_goodbye(&self) -> Result<(), WorkerError> {
        let Some(registry) = self.registry.take() else { return Ok(()) };
        timeout(GOODBYE, registry.close()).await.map_err(|_| WorkerError::NoGoodbye)??;
        // An error means that the parent is gone and has no use for the note.
        let _ = self.worker.set_note(&[]);
        Ok(())
    }
}
