//! The guard that keeps an instance registered.

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

/// Keeps an instance registered as long as it lives.
///
/// A background task keeps the node in place. A lost connection changes nothing; when the session expires, or another
/// client deletes the node, the task creates it again with the newest data. Dropping the registration withdraws the
/// instance in the background; [`Self::withdraw`] waits for it.
///
/// # End of a program
/// The background task needs the tokio runtime. A program that ends with a live registration, at the end of `main`, behind
/// a `?` or in a panic, ends its runtime before the node is deleted, and others find the instance until the session timeout
/// is over. So wait at the end of a program: for [`Self::withdraw`], for
/// [`Registry::close_within`](crate::Registry::close_within), or run all of it within
/// [`Registry::run_then_close`](crate::Registry::run_then_close), which covers all these cases.
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
    /// State at the last call of `changed`.
    seen: RegistrationState,
    client: zk_client::Client,
    service: Arc<str>,
}

/// State of a [`Registration`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegistrationState {
    /// No node is known to be ours; one is created as soon as a server is connected.
    Pending,
    /// The node at this path is ours. Its loss may stay unknown for a session timeout.
    Registered {
        /// Path of the node, below the chroot.
        path: String,
    },
    /// Withdrawn. Final.
    Withdrawn,
    /// The registry was closed, and the node went with the session. Final.
    Closed,
}

/// Wish of the guard; the newest counts.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) data: Bytes,
    pub(crate) revision: u64,
    pub(crate) withdrawn: bool,
}

/// Progress of the driver.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) state: RegistrationState,
    /// Newest revision that others could read at some time.
    pub(crate) visible: Option<u64>,
    /// Revision of the newest wish that this report takes into account.
    pub(crate) handled: u64,
    /// Error of the last step, if the servers refused it.
    pub(crate) refused: Option<zk_client::Error>,
}

impl Registration {
    /// Starts the task. Returns when the node exists.
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
        // From here on, dropping the future drops the guard, which withdraws.
        let mut registration = Self { wish, report, seen: RegistrationState::Pending, client, service };
        registration.reached("register an instance of", 0, |report| report.visible.is_some()).await?;
        registration.seen = registration.state();
        Ok(registration)
    }

    /// Returns the path of the node, below the chroot; `None` while no node is known to be ours.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        match &self.report.borrow().state {
            RegistrationState::Registered { path } => Some(path.clone()),
            _ => None,
        }
    }

    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> RegistrationState {
        self.report.borrow().state.clone()
    }

    /// Waits for another state than at the last call, or than at the creation, and returns it; `None` when the state is
    /// final. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<RegistrationState> {
        let state = self.report.wait_for(|report| report.state != self.seen).await.ok()?.state.clone();
        self.seen = state.clone();
        Some(state)
    }

    /// Returns the credentials of the session that owns the node; `None` while there is no session.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        self.client.credentials().map(Credentials::new)
    }

    /// Publishes new data, and returns when others can read it. A new session registers it, too, even if the future was
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Instance`]; [`Error::Refused`] if the servers refuse it, although the task tries again later;
    /// [`Error::Closed`].
    pub async fn update(&self, instance: Instance) -> Result<(), Error> {
        let data = instance.to_json()?;
        let wanted = self.wish(|wish| wish.data = data);
        let is_visible = |report: &Report| report.visible.is_some_and(|visible| visible >= wanted);
        self.reached("update an instance of", wanted, is_visible).await
    }

    /// Takes the instance out of the registry. Final: nothing registers it again. Waits until the node is deleted or its
    /// session has ended, also while no server is connected.
    ///
    /// # Errors
    /// [`Error::Refused`] if the servers refuse it; the node then stays until the session ends.
    pub async fn withdraw(self) -> Result<(), Error> {
        let wanted = self.wish(|wish| wish.withdrawn = true);
        match self.reached("withdraw an instance of", wanted, |_| false).await {
            Err(Error::Withdrawn | Error::Closed) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Changes the wish, and returns its new revision.
    fn wish(&self, change: impl FnOnce(&mut Wish)) -> u64 {
        let mut revision = 0;
        self.wish.send_modify(|wish| {
            change(wish);
            wish.revision += 1;
            revision = wish.revision;
        });
        revision
    }

    /// Waits for a report that satisfies `enough`, or that rules it out.
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
        // A driver that ends without a last report has lost its runtime.
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
