//! `conf`: how the server is configured.

use super::About;
use crate::core::Core;
use crate::limits::Limits;

pub(super) fn answer(core: &Core, about: &About, limits: &Limits) -> String {
    let port = about.listens.map_or(-1, |addr| i32::from(addr.port()));
    let (min, max) = core.session_timeout_bounds();
    let connections = limits.max_client_connections.map_or(0, std::num::NonZero::get);
    let tick = about.tick.0;
    // There is no secure port and no directory, and the port's queue is as long as the system likes.
    format!(
        "clientPort={port}\nsecureClientPort=-1\ndataDir=\ndataDirSize=0\ndataLogDir=\ndataLogSize=0\n\
         tickTime={tick}\nmaxClientCnxns={connections}\nminSessionTimeout={}\nmaxSessionTimeout={}\n\
         clientPortListenBacklog=-1\nserverId=0\n",
        min.0, max.0
    )
}
