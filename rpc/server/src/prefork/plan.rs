//! The plan of a preforked service, which all workers and their entries in the registry follow.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

#[cfg(feature = "tls")]
use common::tls::ServerTls;
use tokio::net::unix::pipe;

use crate::announce::announcer::GOODBYE;
use crate::limits::Limits;
use crate::names::NameError;

/// Time for running calls after a request to stop quickly.
pub(crate) const QUICK_DRAIN: Duration = Duration::from_secs(1);

/// Settings that all workers of a service share.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Servers of the registry in which to register; `None` for no registry.
    pub(crate) zookeeper: Option<String>,
    pub(crate) registry: Access,
    pub(crate) service_name: Option<String>,
    /// Host that clients connect to.
    pub(crate) host: Option<String>,
    /// Each worker also listens on a port of its own.
    pub(crate) direct_ports: bool,
    pub(crate) session_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// Interval of heartbeats to the parent, if it expects any.
    pub(crate) heartbeat: Option<Duration>,
    /// Number of calls after which a worker asks to be replaced.
    pub(crate) max_calls: Option<u64>,
    pub(crate) farewell: Duration,
    pub(crate) limits: Limits,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ServerTls>,
}

/// Settings of connections to the registry beyond its servers.
#[derive(Clone, Default)]
pub(crate) struct Access(pub(crate) Option<Rc<Configure>>);

/// Function that adds settings to those of a registry.
pub(crate) type Configure = dyn Fn(registry::Builder) -> registry::Builder;

impl Access {
    /// Returns a registry at these servers, to be connected to.
    pub(crate) fn to(&self, servers: &str) -> registry::Builder {
        let builder = registry::Registry::builder();
        let configured = match &self.0 {
            Some(configure) => configure(builder),
            None => builder,
        };
        configured.servers(servers)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Access").finish_non_exhaustive()
    }
}

impl Plan {
    /// Returns the time that a worker has to stop. Saturates, because any of the times may be unlimited.
    pub(crate) fn grace(&self) -> Duration {
        let rest = 2 * GOODBYE + Duration::from_secs(1);
        self.farewell.saturating_add(self.limits.drain_timeout).saturating_add(rest)
    }
}

/// Reason for which a worker could not start, or could not clean up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(
        "the registry did not close the session in time; the worker's entry goes when the session expires"
    )]
    NoGoodbye,
    #[error("the registry opened a session, but did not register the worker in time")]
    NotRegistered,
}

/// Completes when the worker has been asked to stop, and at once from then on.
pub(crate) async fn stop_asked(stop: &pipe::Receiver) {
    // Nothing reads from the pipe, so it stays readable. An error means that the runtime has ended.
    let _ = stop.readable().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_registry_do_not_change_its_servers() {
        let access = Access(Some(Rc::new(|builder: registry::Builder| {
            builder.servers("elsewhere:2181").sasl("echo", "secret")
        })));
        let shown = format!("{:?}", access.to("here:2181"));
        assert!(shown.contains("here:2181") && !shown.contains("elsewhere"), "{shown}");
    }
}
