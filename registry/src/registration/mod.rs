//! Registering an instance: the guard that the caller holds.

mod core;
mod driver;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::instance::Instance;
use crate::node::ServiceNode;
use driver::Driver;

/// An instance that is registered for as long as this lives.
///
/// Behind it a task keeps the node in place. A lost connection is no reason to touch it; when the session expires,
/// or somebody deletes the node, it is created again with the newest data, for ever. Dropping this withdraws the
/// instance in the background; [`Self::withdraw`] waits for it.
///
/// In the background means: while the tokio runtime goes on. Where a program ends with a live registration, at the
/// end of `main`, behind a `?` or in a panic, the runtime ends before the node is deleted, and the instance is found
/// until the session timeout is over. So the last thing that a program does is to wait: for [`Self::withdraw`], for
/// [`Registry::close_within`](crate::Registry::close_within), or, in any of these cases, by putting all of it into
/// [`Registry::run_then_close`](crate::Registry::run_then_close).
///
/// ```
#[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry::Error> {
/// use registry::{Instance, Registry};
///
/// let registry = Registry::embedded().await?;
/// let registration = registry.register("demo", Instance::new("127.0.0.1", 8080)).await?;
/// registration.update(Instance::new("127.0.0.1", 8080).with("load", 3)).await?;
/// registration.withdraw().await?;
/// assert!(registry.discover("demo").await?.is_empty());
/// # Ok(())
/// # }
#[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
/// ```
#[derive(Debug)]
#[must_use = "dropping a registration withdraws it, if the program goes on"]
pub struct Registration {
    wish: watch::Sender<Wish>,
    report: watch::Receiver<Report>,
    /// The state at the last call of `changed`.
    seen: RegistrationState,
    client: zk_client::Client,
    service: Arc<str>,
}

/// How a registration stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegistrationState {
    /// There is no node that is known to be ours; one is being created, as soon as the registry can be reached.
    Pending,
    /// The node at this path is ours. It may last a session timeout until we know better.
    Registered {
        /// The node, as seen below the chroot.
        path: String,
    },
    /// Withdrawn; for ever.
    Withdrawn,
    /// The registry was closed, and the node went with the session.
    Closed,
}

/// What the guard wants; the newest counts.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) data: Bytes,
    pub(crate) revision: u64,
    pub(crate) withdrawn: bool,
}

/// What the driver has reached.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) state: RegistrationState,
    /// Newest revision that others could read at some time.
    pub(crate) visible: Option<u64>,
    /// Revision of the newest wish that this report takes into account.
    pub(crate) handled: u64,
    /// Why the last step was refused, if it was.
    pub(crate) refused: Option<zk_client::Error>,
}

impl Registration {
    /// Returns when the node exists.
    pub(crate) async fn start(node: ServiceNode, data: Bytes, seed: u64) -> Result<Self, Error> {
        let (wish, wishes) = watch::channel(Wish { data: data.clone(), revision: 0, withdrawn: false });
        let (reports, report) = watch::channel(Report {
            state: RegistrationState::Pending,
            visible: None,
            handled: 0,
            refused: None,
        });
        let (client, service) = (node.client.clone(), node.service.clone());
        tokio::spawn(Driver::new(node, data, seed).run(wishes, reports));
        // From here on it is withdrawn when the caller drops the future.
        let mut registration = Self { wish, report, seen: RegistrationState::Pending, client, service };
        registration.reached("register an instance of", 0, |report| report.visible.is_some()).await?;
        registration.seen = registration.state();
        Ok(registration)
    }

    /// The path of the node, as seen below the chroot; `None` while there is none that is known to be ours.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        match &self.report.borrow().state {
            RegistrationState::Registered { path } => Some(path.clone()),
            _ => None,
        }
    }

    /// How the registration stands now.
    #[must_use]
    pub fn state(&self) -> RegistrationState {
        self.report.borrow().state.clone()
    }

    /// Waits until the registration stands otherwise than at the last call (or than when it was made), and says
    /// how. `None` when it will not change any more. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<RegistrationState> {
        let state = self.report.wait_for(|report| report.state != self.seen).await.ok()?.state.clone();
        self.seen = state.clone();
        Some(state)
    }

    /// The session that owns the node; `None` while there is none.
    #[must_use]
    pub fn session(&self) -> Option<Credentials> {
        self.client.credentials().map(Credentials::new)
    }

    /// Tells new data. Returns when others can read it; from the moment of the call it is what a new session
    /// registers, also if the returned future is dropped.
    ///
    /// # Errors
    /// [`Error::Instance`]; [`Error::Refused`] if the registry refuses it, though it is tried again later;
    /// [`Error::Closed`].
    pub async fn update(&self, instance: Instance) -> Result<(), Error> {
        let data = instance.to_json()?;
        let wanted = self.wish(|wish| wish.data = data);
        let is_visible = |report: &Report| report.visible.is_some_and(|visible| visible >= wanted);
        self.reached("update an instance of", wanted, is_visible).await
    }

    /// Takes the instance out of the registry. Final: nothing registers it again. Waits while the registry cannot
    /// be reached, until the node is deleted or its session has ended.
    ///
    /// # Errors
    /// [`Error::Refused`] if the registry refuses it; the node then stays until the session ends.
    pub async fn withdraw(self) -> Result<(), Error> {
        let wanted = self.wish(|wish| wish.withdrawn = true);
        match self.reached("withdraw an instance of", wanted, |_| false).await {
            Err(Error::Withdrawn | Error::Closed) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The revision of the changed wish.
    fn wish(&self, change: impl FnOnce(&mut Wish)) -> u64 {
        let mut revision = 0;
        self.wish.send_modify(|wish| {
            change(wish);
            wish.revision += 1;
            revision = wish.revision;
        });
        revision
    }

    /// Waits for a report that satisfies `enough`, or that says why there will be none.
    async fn reached(
        &self,
        action: &'static str,
        wanted: u64,
        enough: impl Fn(&Report) -> bool,
    ) -> Result<(), Error> {
        let is_refused = |report: &Report| report.refused.is_some() && report.handled >= wanted;
        let is_over = |report: &Report| {
            matches!(report.state, RegistrationState::Withdrawn | RegistrationState::Closed)
        };
        let mut reports = self.report.clone();
        // The driver's end without a last report: its runtime has ended.
        let report = reports
            .wait_for(|report| enough(report) || is_refused(report) || is_over(report))
            .await
            .map_err(|_| Error::Closed)?
            .clone();
        if enough(&report) {
            return Ok(());
        }
        match (report.refused, report.state) {
            (Some(source), _) => Err(Error::Refused { action, service: self.service.to_string(), source }),
            (None, RegistrationState::Withdrawn) => Err(Error::Withdrawn),
            (None, _) => Err(Error::Closed),
        }
    }
}
