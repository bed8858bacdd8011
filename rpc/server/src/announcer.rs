//! A worker's life in the registry: it is announced, stays so, and is taken back.

use crate::log;
use crate::plan::{GOODBYE, Plan, WorkerError, stop_asked};
use registry::{ConnectionState, Instance, Registration, Registry};
use rpc_prefork::Worker;
use std::{cell::RefCell, time::Duration};
use tokio::{
    net::unix::pipe,
    select,
    time::{sleep, timeout},
};

/// One worker's entry in the registry, if there is one.
pub(crate) struct Announcer<'a> {
    worker: &'a Worker,
    plan: &'a Plan,
    service: String,
    instance: Instance,
    /// Kept here from the first moment, however far the rest has come: it is to be closed at the end.
    registry: RefCell<Option<Registry>>,
}

impl<'a> Announcer<'a> {
    pub(crate) fn new(worker: &'a Worker, plan: &'a Plan, service: String, instance: Instance) -> Self {
        Self { worker, plan, service, instance, registry: RefCell::default() }
    }

    /// Announces the worker; nothing if there is no registry.
    pub(crate) async fn announce(&self) -> Result<Option<Registration>, WorkerError> {
        let Some(registry) = self.connect().await? else { return Ok(None) };
        // From the first moment that there is something to clean up.
        self.tell_session();
        let registered = registry.register(&self.service, self.instance.clone());
        let registration = timeout(self.plan.connect_timeout, registered)
            .await
            .map_err(|_| WorkerError::NotRegistered)??;
        // It may be another session by now.
        self.tell_session();
        Ok(Some(registration))
    }

    /// Announces the worker however long it takes: a worker that serves goes on serving while the registry is away.
    pub(crate) async fn announce_at_last(&self) -> Option<Registration> {
        let mut pause = RETRY_MIN;
        loop {
            match self.announce().await {
                Ok(registration) => return registration,
                Err(error) => log::say(|| {
                    tracing::warn!(slot = self.worker.slot(), %error, ?pause, "not announced yet; trying again");
                }),
            }
            sleep(pause).await;
            pause = (2 * pause).min(RETRY_MAX);
        }
    }

    /// The session that was opened before, unless that is over.
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

    /// The session, by which the parent can say goodbye for us; after an expiry it is a new one. Empty if there is
    /// none.
    pub(crate) fn note(&self) -> Vec<u8> {
        let registry = self.registry.borrow();
        let credentials = registry.as_ref().and_then(Registry::credentials);
        credentials.map(|credentials| credentials.to_bytes().to_vec()).unwrap_or_default()
    }

    fn tell_session(&self) {
        let note = self.note();
        // While there is no session the one before may still be announced.
        if !note.is_empty()
            && let Err(error) = self.worker.set_note(&note)
        {
            log::say(|| tracing::warn!(%error, "the parent does not know the session"));
        }
    }

    /// Stays announced until asked to leave, and returns when the announcement is gone, or cannot be taken back now.
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
            Ok(Err(error)) => log::say(|| tracing::warn!(%error, "cannot withdraw from the registry")),
            Err(_) => log::say(|| tracing::warn!("cannot withdraw from the registry: it does not answer")),
        }
    }

    /// Closes the session, if there is one, and takes back what the parent was told of it. If that fails, the parent's
    /// helper tries again.
    pub(crate) async fn say_goodbye(&self) -> Result<(), WorkerError> {
        let Some(registry) = self.registry.take() else { return Ok(()) };
        timeout(GOODBYE, registry.close()).await.map_err(|_| WorkerError::NoGoodbye)??;
        // A parent that is gone has no use for it.
        let _ = self.worker.set_note(&[]);
        Ok(())
    }
}

/// The first pause before the registry is tried again, and the longest.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(2);
