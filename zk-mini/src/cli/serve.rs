//! `zk-mini serve`: a server until it is told to stop.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::net::lookup_host;
use tokio::signal::unix::{SignalKind, signal};
use zk_mini::ZkMini;

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
    /// Read are clientPort, clientPortAddress and dataDir, and what the options
    /// below set: tickTime, minSessionTimeout, maxSessionTimeout, maxClientCnxns,
    /// jute.maxbuffer, 4lw.commands.whitelist, extendedTypesEnabled,
    /// znode.container.checkIntervalMs, skipACL, enforceQuota, reconfigEnabled,
    /// DigestAuthenticationProvider.superDigest; also with `zookeeper.` before
    /// it. Other keys are accepted, with one warning each. Without a
    /// clientPortAddress the server listens on 127.0.0.1, unlike ZooKeeper; for
    /// every address, set 0.0.0.0 or ::.
    #[arg(long, value_name = "ZOO.CFG", verbatim_doc_comment)]
    config: Option<PathBuf>,

    /// Accepted and kept for later: for now everything lives in memory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(args: ServeArgs) -> Result<ExitCode, CliError> {
    let file = args.config.as_deref().map(ZooCfg::read).transpose()?.unwrap_or_default();
    for remark in &file.remarks {
        tracing::warn!("{remark}");
    }
    if let Some(dir) = args.data_dir.as_ref().or(file.data_dir.as_ref()) {
        tracing::warn!(dir = %dir.display(), "nothing is stored there yet: everything lives in memory");
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
    let zk = settings.apply(ZkMini::builder()).listen(addr).start().await?;
    announce(zk.addr().unwrap_or(addr));

    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal, connections = zk.direct().connections().len(), "stopping");
    zk.stop().await;
    Ok(ExitCode::SUCCESS)
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
