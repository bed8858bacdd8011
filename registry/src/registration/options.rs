//! Options of a registration.

use std::sync::Arc;
use std::time::Duration;

use super::core::OnDelete;
use crate::codec::{Codec, Json};

/// Options of a registration, for [`Registry::register_with`](crate::Registry::register_with).
///
/// ```
#[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry::Error> {
/// use std::time::Duration;
/// use registry::{Instance, OnDelete, RegisterOptions, Registry};
///
/// let registry = Registry::embedded().await?;
/// let options = RegisterOptions::default()
///     .id("host-7")
///     .on_delete(OnDelete::Drain)
///     .warm_up(Duration::from_secs(30));
/// let registration = registry.register_with("demo", Instance::new("127.0.0.1", 8080), options).await?;
/// assert_eq!(registration.path().as_deref(), Some("/demo/host-7"));
/// # Ok(())
/// # }
#[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing before `register_with`"]
pub struct RegisterOptions {
    pub(crate) id: Option<String>,
    pub(crate) codecs: Vec<Arc<dyn Codec>>,
    pub(crate) on_delete: OnDelete,
    pub(crate) warm_up: Option<Duration>,
}

impl Default for RegisterOptions {
    fn default() -> Self {
        Self { id: None, codecs: vec![Arc::new(Json)], on_delete: OnDelete::default(), warm_up: None }
    }
}

impl RegisterOptions {
    /// Sets the id of the instance, which is the name of its node. There is one instance of an id: a newer one takes the
    /// place of an older one in one transaction, so that others never find two or none, and the older one is
    /// [`Withdrawn`](crate::RegistrationState::Withdrawn) as [`Replaced`](crate::WithdrawReason::Replaced). So a process
    /// that starts again at once, with another address, does not stand beside the one that died.
    ///
    /// Default: the name is unique.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the formats: the instance has one node in each, and is registered when all are there. Each format needs a path of
    /// its own. Default, also for an empty list: [`Json`].
    pub fn codecs(mut self, codecs: impl IntoIterator<Item = Arc<dyn Codec>>) -> Self {
        self.codecs = codecs.into_iter().collect();
        if self.codecs.is_empty() {
            self.codecs.push(Arc::new(Json));
        }
        self
    }

    /// Sets the answer to the deletion of a node by another client. Default: [`OnDelete::Restore`].
    pub fn on_delete(mut self, answer: OnDelete) -> Self {
        self.on_delete = answer;
        self
    }

    /// Lets the weight grow over this time from now on, see [`Instance::with_warm_up`](crate::Instance::with_warm_up). An
    /// instance that says it itself is left as it is. Default: the full weight at once.
    pub fn warm_up(mut self, time: Duration) -> Self {
        self.warm_up = Some(time);
        self
    }
}
