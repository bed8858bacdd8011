//! `conf`: the configuration.

use crate::report::figures::{Configuration, DiskFigures};

pub(crate) fn answer(config: &Configuration, disk: &DiskFigures) -> String {
    let port = config.listens.map_or(-1, |addr| i32::from(addr.port()));
    let (min, max) = config.session_timeouts;
    let DiskFigures { data: (data, data_size), logs: (logs, logs_size), .. } = disk;
    // There is no secure port.
    format!(
        "clientPort={port}\nsecureClientPort=-1\ndataDir={}\ndataDirSize={data_size}\n\
         dataLogDir={}\ndataLogSize={logs_size}\n\
         tickTime={}\nmaxClientCnxns={}\nminSessionTimeout={}\nmaxSessionTimeout={}\n\
         clientPortListenBacklog={}\nserverId=0\n",
        data.display(),
        logs.display(),
        config.tick.0,
        config.max_client_connections,
        min.0,
        max.0,
        config.backlog
    )
}
