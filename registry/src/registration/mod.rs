//! The guard that keeps an instance registered.

mod core;
mod drain;
mod driver;
mod options;
mod publication;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use zk_client::{CloseReason, SessionState};

use crate::clock;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::instance::Instance;
use crate::node::ServiceNode;
use crate::status::Status;
use driver::Driver;
use publication::Publication;

pub use core::{LossReason, OnDelete, RegistrationState, WithdrawReason};
pub use drain::Drained;
pub use options::RegisterOptions;

/// State of a client whose session has ended by its own wish. One whose close nobody confirmed is in another state.
const CLOSED: SessionState = SessionState::Closed(CloseReason::Requested);

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
    publication: Publication,
    wish: watch::Sender<Wish>,
    report: watch::Receiver<Report>,
    /// State at the last call of `changed`.
    seen: RegistrationState,
    /// Keeps the session open; the task does not.
    client: zk_client::Client,
    service: Arc<str>,
}

/// Wish of the guard; the newest counts.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    instance: Instance,
    /// The instance in each format.
    pub(crate) data: Arc<[Bytes]>,
    pub(crate) revision: u64,
    pub(crate) withdrawn: bool,
}

/// Progress of the driver.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) state: RegistrationState,
    /// Newest revision that others could read at some time, in every format.
    pub(crate) visible: Option<u64>,
    /// Revision of the newest wish that this report takes into account.
    pub(crate) handled: u64,
    /// Error of the last step, if the servers refused it.
    pub(crate) refused: Option<zk_client::Error>,
    /// True once nothing will be done any more.
    pub(crate) is_over: bool,
}

impl Report {
    /// Returns true if somebody may wait for the difference.
    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        self.state != other.state
            || self.visible != other.visible
            || self.handled != other.handled
            || self.refused.is_some() != other.refused.is_some()
            || self.is_over != other.is_over
    }
}

impl Registration {
    /// Starts the task. Returns when the instance has a node in each format; `nodes` has one for each.
    pub(crate) async fn start(
        client: zk_client::Client,
        service: Arc<str>,
        nodes: Vec<ServiceNode>,
        instance: Instance,
        options: RegisterOptions,
        seed: u64,
    ) -> Result<Self, Error> {
        let RegisterOptions { id, codecs, on_delete, warm_up } = options;
        let publication = Publication::new(service.clone(), id, codecs, clock::unix_ms(), warm_up, seed)?;
        let data = publication.encode(&instance)?;
        let driver = Driver::new(nodes, &publication, on_delete, &data, seed, client.clock());
        let (wish, wishes) = watch::channel(Wish { instance, data, revision: 0, withdrawn: false });
        let (reports, report) = watch::channel(Report {
            state: RegistrationState::Registering,
            visible: None,
            handled: 0,
            refused: None,
            is_over: false,
        });
        client.spawn(driver.run(client.states(), wishes, reports));
        // From here on, dropping the future drops the guard, which withdraws.
        let seen = RegistrationState::Registering;
        let mut registration = Self { publication, wish, report, seen, client, service };
        registration.reached("register an instance of", 0, |report| report.visible.is_some()).await?;
        // Another state by now is news.
        if let registered @ RegistrationState::Registered { .. } = registration.state() {
            registration.seen = registered;
        }
        Ok(registration)
    }

    /// Returns the path of the node, below the chroot, that of the first format if there are several; `None` while not all
    /// nodes are known to be ours.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        match &self.report.borrow().state {
            RegistrationState::Registered { paths } => paths.first().cloned(),
            _ => None,
        }
    }

    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> RegistrationState {
        self.report.borrow().state.clone()
    }

    /// Waits for another state than at the last call, or than at the creation, and returns it; `None` when the state is
    /// final. A caller that is slow sees the latest state: a loss that was repaired meanwhile shows in the new
    /// [`paths`](RegistrationState::Registered), if the nodes have no fixed name. Dropping the future loses nothing.
    ///
    /// ```
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry::Error> {
    /// use registry::{Instance, RegisterOptions, RegistrationState, Registry, WithdrawReason};
    ///
    /// let registry = Registry::embedded().await?;
    /// let id = || RegisterOptions::default().id("host-7");
    /// let mut older = registry.register_with("demo", Instance::new("127.0.0.1", 8080), id()).await?;
    /// let newer = registry.register_with("demo", Instance::new("127.0.0.1", 8081), id()).await?;
    ///
    /// // A service would finish its work now.
    /// assert_eq!(older.changed().await, Some(RegistrationState::Withdrawn(WithdrawReason::Replaced)));
    /// assert_eq!(older.changed().await, None);
    /// # drop(newer);
    /// # Ok(())
    /// # }
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
    /// ```
    pub async fn changed(&mut self) -> Option<RegistrationState> {
        let state = self.report.wait_for(|report| report.state != self.seen).await.ok()?.state.clone();
        self.seen = state.clone();
        Some(state)
    }

    /// Returns the progress, for a follower that does not hold the registration.
    #[cfg(feature = "stream")]
    pub(crate) fn reports(&self) -> watch::Receiver<Report> {
        self.report.clone()
    }

    /// Returns the credentials of the session that owns the node; `None` while there is no session.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        self.client.credentials().map(Credentials::new)
    }

    /// Publishes new data, and returns when others can read it. A new session registers it, too, even if the future was
    /// dropped. Of several updates in a short time only the last one may be written.
    ///
    /// # Errors
    /// [`Error::Instance`]; [`Error::Refused`] if the servers refuse it, although the task tries again later;
    /// [`Error::Withdrawn`]; [`Error::Closed`].
    pub async fn update(&self, instance: Instance) -> Result<(), Error> {
        self.change(|_| instance).await
    }

    /// Publishes another status, and leaves the rest as it is; see [`Self::update`].
    ///
    /// # Errors
    /// The errors of [`Self::update`].
    pub async fn set_status(&self, status: Status) -> Result<(), Error> {
        self.change(|instance| instance.with_status(status)).await
    }

    /// Publishes another weight, and leaves the rest as it is; see [`Self::update`].
    ///
    /// # Errors
    /// The errors of [`Self::update`].
    pub async fn set_weight(&self, weight: u32) -> Result<(), Error> {
        self.change(|instance| instance.with_weight(weight)).await
    }

    async fn change(&self, change: impl FnOnce(Instance) -> Instance) -> Result<(), Error> {
        let mut wanted = Ok(0);
        self.wish.send_if_modified(|wish| {
            let instance = change(wish.instance.clone());
            wanted = self.publication.encode(&instance).map(|data| {
                *wish = Wish { instance, data, revision: wish.revision + 1, ..*wish };
                wish.revision
            });
            wanted.is_ok()
        });
        let wanted = wanted?;
        let is_visible = |report: &Report| report.visible.is_some_and(|visible| visible >= wanted);
        self.reached("update an instance of", wanted, is_visible).await
    }

    /// Takes the instance out of the registry. Final: nothing registers it again. Waits until the node is deleted or its
    /// session has ended, also while no server is connected.
    ///
    /// # Errors
    /// [`Error::Refused`] if the servers refuse it; [`Error::Closed`] if the registry was closed and no server confirmed it, or if
    /// its runtime has ended. The node then stays until the session ends.
    pub async fn withdraw(self) -> Result<(), Error> {
        self.withdrawn().await
    }

    async fn withdrawn(&self) -> Result<(), Error> {
        let wanted = self.wish_withdrawn();
        match self.reached("withdraw an instance of", wanted, |_| false).await {
            Err(Error::Withdrawn) | Ok(()) => Ok(()),
            // The node went with the session.
            Err(Error::Closed) if self.client.states().current() == CLOSED => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Wishes the withdrawal, and returns the revision of the wish.
    fn wish_withdrawn(&self) -> u64 {
        let mut wanted = 0;
        self.wish.send_modify(|wish| {
            wish.withdrawn = true;
            wish.revision += 1;
            wanted = wish.revision;
        });
        wanted
    }

    /// Waits for a report that satisfies `enough`, or that rules it out.
    async fn reached(
        &self,
        action: &'static str,
        wanted: u64,
        enough: impl Fn(&Report) -> bool,
    ) -> Result<(), Error> {
        let is_refused = |report: &Report| report.refused.is_some() && report.handled >= wanted;
        let mut reports = self.report.clone();
        // A driver that ends without a last report has lost its runtime.
        let report = reports
            .wait_for(|report| enough(report) || is_refused(report) || report.is_over)
            .await
            .map_err(|_| Error::Closed)?
            .clone();
        if enough(&report) {
            return Ok(());
        }
        match (report.refused, report.state) {
            (Some(source), _) => Err(Error::Refused { action, service: self.service.to_string(), source }),
            (None, RegistrationState::Withdrawn(_)) => Err(Error::Withdrawn),
            (None, _) => Err(Error::Closed),
        }
    }
}
