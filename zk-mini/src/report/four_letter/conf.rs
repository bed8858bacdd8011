//! `conf`: the configuration.

use crate::report::figures::{Configuration, DiskFigures};

pub(crate) fn answer(config: &Configuration, disk: &DiskFigures) -> String {
    let port = |addr: Option<std::net::SocketAddr>| addr.map_or(-1, |addr| i32::from(addr.port()));
    let (port, secure_port) = (port(config.listens), port(config.listens_tls));
    let (min, max) = config.session_timeouts;
    let DiskFigures { data: (data, data_size), logs: (logs, logs_size), .. } = disk;
    format!(
        "clientPort={port}\nsecureClientPort={secure_port}\ndataDir={}\ndataDirSize={data_size}\n\
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
