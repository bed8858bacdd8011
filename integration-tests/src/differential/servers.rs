//! Servers to compare, with the same settings.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use zk_mini::ZkMini;
use zk_mini::core::Compat;

use super::access::SUPER_DIGEST;
use crate::ensemble::{Error, RealZooKeeper, Release};
use crate::four_letter;

/// Tick: long, so that no session expires while a script runs.
const TICK: Duration = Duration::from_secs(5);

/// Longest session timeout, as the harness sets it for Apache ZooKeeper.
const MAX_SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// Interval of container checks: so long that containers of earlier scripts are not deleted during a later one.
const CONTAINER_CHECK_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// zk-mini, in this process, with a runtime of its own.
pub struct Mini {
    addr: SocketAddr,
    _zk: ZkMini,
    _runtime: Runtime,
}

impl Mini {
    /// Returns the address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Settings of both servers.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Release line of the real server, which zk-mini imitates.
    pub compat: Compat,
    /// Allows nodes with a time to live.
    pub extended_types: bool,
}

impl Settings {
    /// Returns the settings for a release line.
    pub fn of(compat: Compat) -> Self {
        Self { compat, extended_types: false }
    }

    /// Returns the release that zk-mini imitates.
    pub fn release(self) -> Release {
        match self.compat {
            Compat::V3_8 => Release::V3_8,
            Compat::V3_9 => Release::V3_9,
        }
    }
}

/// Starts a zk-mini in this process.
///
/// # Errors
/// If it does not start.
pub fn mini(settings: Settings) -> io::Result<Mini> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // A seed lets zxids begin at 0, as those of the real server. Some of its answers show half of a zxid by mistake.
    let builder = ZkMini::builder()
        .seed(1)
        .compat(settings.compat)
        .extended_types(settings.extended_types)
        .super_digest(SUPER_DIGEST)
        .tick(TICK)
        .max_session_timeout(MAX_SESSION_TIMEOUT)
        .max_client_connections(0)
        .container_check_interval(CONTAINER_CHECK_INTERVAL);
    let zk = runtime.block_on(builder.start()).map_err(io::Error::other)?;
    let addr = zk.addr().ok_or_else(|| io::Error::other("zk-mini does not listen"))?;
    Ok(Mini { addr, _zk: zk, _runtime: runtime })
}

/// Starts one Apache ZooKeeper.
///
/// # Errors
/// If it is not installed (the message tells the remedy), does not start, or has another version.
pub fn real(settings: Settings) -> Result<RealZooKeeper, Error> {
    let property = |name: &str, value: &dyn Display| format!("-D{name}={value}");
    let zk = RealZooKeeper::builder()
        .release(settings.release())
        .tick(TICK)
        .jvm_option(property("znode.container.checkIntervalMs", &CONTAINER_CHECK_INTERVAL.as_millis()))
        .jvm_option(property("zookeeper.extendedTypesEnabled", &settings.extended_types))
        .jvm_option(property("zookeeper.DigestAuthenticationProvider.superDigest", &SUPER_DIGEST))
        .start()?;
    let (wanted, found) = (settings.release().version(), version(zk.addr(0))?);
    if found == wanted {
        Ok(zk)
    } else {
        Err(io::Error::other(format!("Apache ZooKeeper {wanted} is needed, but this is {found}")).into())
    }
}

/// Returns the version of a running server.
///
/// # Errors
/// If it does not answer.
pub fn version(server: SocketAddr) -> io::Result<String> {
    let answer = four_letter::ask(server, "srvr")?;
    let line = answer.lines().find_map(|line| line.strip_prefix("Zookeeper version: "));
    let version = line.and_then(|line| line.split(['-', ',']).next());
    version.map(String::from).ok_or_else(|| io::Error::other(format!("no version in {answer:?}")))
}
