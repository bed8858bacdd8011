//! `conf`: how the server is configured.

use std::path::Path;

use super::About;
use crate::core::Core;
use crate::shell::limits::Limits;

pub(super) fn answer(core: &Core, about: &About, limits: &Limits) -> String {
    let port = about.listens.map_or(-1, |addr| i32::from(addr.port()));
    let (min, max) = core.session_timeout_bounds();
    let connections = limits.max_client_connections;
    let tick = about.tick.0;
    let nowhere = [(Path::new(""), 0); 2];
    let [(data, data_size), (log, log_size)] = about.files.as_ref().map_or(nowhere, |files| files.usage());
    // There is no secure port.
    let backlog = about.backlog;
    format!(
        "clientPort={port}\nsecureClientPort=-1\ndataDir={}\ndataDirSize={data_size}\n\
         dataLogDir={}\ndataLogSize={log_size}\n\
         tickTime={tick}\nmaxClientCnxns={connections}\nminSessionTimeout={}\nmaxSessionTimeout={}\n\
         clientPortListenBacklog={backlog}\nserverId=0\n",
        data.display(),
        log.display(),
        min.0,
        max.0
    )
}
