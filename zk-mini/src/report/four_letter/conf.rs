//! `conf`: the configuration.

use crate::core::Membership;
use crate::report::figures::{Configuration, DiskFigures};

/// Ticks that the servers of an ensemble have to begin and to answer, as in ZooKeeper's sample configuration, and its way to
/// elect a leader.
const OF_ENSEMBLES: &str = "initLimit=10\nsyncLimit=5\nelectionAlg=3\n";

pub(crate) fn answer(config: &Configuration, disk: &DiskFigures, member: Option<&Membership>) -> String {
    let port = |addr: Option<std::net::SocketAddr>| addr.map_or(-1, |addr| i32::from(addr.port()));
    let (port, secure_port) = (port(config.listens), port(config.listens_tls));
    let (min, max) = config.session_timeouts;
    let DiskFigures { data: (data, data_size), logs: (logs, logs_size), .. } = disk;
    format!(
        "clientPort={port}\nsecureClientPort={secure_port}\ndataDir={}\ndataDirSize={data_size}\n\
         dataLogDir={}\ndataLogSize={logs_size}\n\
         tickTime={}\nmaxClientCnxns={}\nminSessionTimeout={}\nmaxSessionTimeout={}\n\
         clientPortListenBacklog={}\nserverId={}\n{}",
        data.display(),
        logs.display(),
        config.tick.0,
        config.max_client_connections,
        min.0,
        max.0,
        config.backlog,
        config.server_id,
        member.map(in_ensemble).unwrap_or_default()
    )
}

fn in_ensemble(member: &Membership) -> String {
    let Membership { quorum_port, election_port, is_observer, members, .. } = member;
    format!(
        "{OF_ENSEMBLES}electionPort={election_port}\nquorumPort={quorum_port}\npeerType={}\nmembership: \n{members}",
        u8::from(*is_observer)
    )
}
