//! `zk-mini serve`: a server until it is told to stop.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::net::lookup_host;
use tokio::signal::unix::{SignalKind, signal};
use zk_mini::ZkMini;
use zk_mini::storage::SyncMode;

use super::block_on;
use super::error::CliError;
use super::settings::Settings;
use super::zoo_cfg::ZooCfg;

const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 2181;

/// Run a server until SIGTERM or SIGINT
///
/// When it is ready to serve it prints one line, `listening on HOST:PORT`, on
/// standard output; everything else goes to standard error. SIGTERM and SIGINT
/// stop it: status 0. If it cannot start, it says why: status 1.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct ServeArgs {
    /// Where to listen; port 0 lets the system choose [default: 127.0.0.1:2181]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,

    /// An ordinary zoo.cfg; an option of the command line goes before it
    ///
    /// Read are clientPort, clientPortAddress, and what the options below set:
    /// dataDir, dataLogDir, autopurge.snapRetainCount (with a purgeInterval), tickTime, minSessionTimeout, maxSessionTimeout, maxClientCnxns,
    /// jute.maxbuffer, jute.maxbuffer.extrasize, 4lw.commands.whitelist, extendedTypesEnabled,
    /// znode.container.checkIntervalMs, skipACL, enforceQuota, reconfigEnabled,
    /// DigestAuthenticationProvider.superDigest; also with `zookeeper.` before
    /// it. Other keys are accepted, with one warning each. Without a
    /// clientPortAddress the server listens on 127.0.0.1, unlike ZooKeeper; for
    /// every address, set 0.0.0.0 or ::.
    #[arg(long, value_name = "ZOO.CFG", verbatim_doc_comment)]
    config: Option<PathBuf>,

    /// Keep everything here, in Apache ZooKeeper's format [default: memory only]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Keep the transaction logs here [default: in the data directory]
    #[arg(long, value_name = "DIR")]
    data_log_dir: Option<PathBuf>,

    /// When a write counts as kept [default: group]
    ///
    /// always: when the disk has it, one sync for each; group: one sync for all that
    /// wait, which is as safe; none: when the system has it.
    #[arg(long, value_name = "WHEN", value_parser = sync_mode, verbatim_doc_comment)]
    sync: Option<SyncMode>,

    /// Keep so many snapshots, with the logs behind them [default: all]
    #[arg(long, value_name = "N", value_parser = snapshots)]
    retain_snapshots: Option<NonZeroUsize>,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(args: ServeArgs) -> Result<ExitCode, CliError> {
    let file = args.config.as_deref().map(ZooCfg::read).transpose()?.unwrap_or_default();
    for remark in &file.remarks {
        tracing::warn!("{remark}");
    }
    block_on(serve(args, file))
}

async fn serve(args: ServeArgs, file: ZooCfg) -> Result<ExitCode, CliError> {
    // From here on, so that a signal right after the line on standard output is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Signals)?;

    let addr = match args.listen {
        Some(listen) => resolve(listen).await?,
        None => {
            let host = file.client_port_address.as_deref().unwrap_or(DEFAULT_HOST);
            let port = file.client_port.unwrap_or(DEFAULT_PORT);
            // An IPv6 address may stand in brackets or not.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            resolve(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
                .await?
        }
    };
    let settings = args.settings.or(file.settings);
    let mut builder = settings.apply(ZkMini::builder()).listen(addr).sync(args.sync.unwrap_or_default());
    if let Some(dir) = args.data_dir.or(file.data_dir) {
        builder = builder.data_dir(dir);
    }
    if let Some(dir) = args.data_log_dir.or(file.data_log_dir) {
        builder = builder.data_log_dir(dir);
    }
    if let Some(count) = args.retain_snapshots.or(file.retain_snapshots) {
        builder = builder.retain_snapshots(count);
    }
    let zk = builder.start().await?;
    announce(zk.addr().unwrap_or(addr));

    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal, connections = zk.direct().connections().len(), "stopping");
    zk.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn snapshots(value: &str) -> Result<NonZeroUsize, &'static str> {
    value.parse().map_err(|_| "a number of snapshots, 1 or more")
}

fn sync_mode(value: &str) -> Result<SyncMode, &'static str> {
    match value {
        "always" => Ok(SyncMode::Always),
        "group" => Ok(SyncMode::Group),
        "none" => Ok(SyncMode::None),
        _ => Err("always, group or none"),
    }
}

/// The address to listen on; an IPv4 one if the name has several.
async fn resolve(address: String) -> Result<SocketAddr, CliError> {
    let found = match lookup_host(&address).await {
        Ok(addrs) => {
            let addrs: Vec<_> = addrs.collect();
            addrs
                .iter()
                .find(|addr| addr.is_ipv4())
                .or(addrs.first())
                .copied()
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
        }
        Err(error) => Err(error),
    };
    found.map_err(|source| CliError::Resolve { address, source })
}

/// Whoever has started the program waits for this line.
fn announce(addr: SocketAddr) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = writeln!(stdout, "listening on {addr}").and_then(|()| stdout.flush()) {
        tracing::warn!(%error, %addr, "listening, but standard output cannot be written to");
    }
}
