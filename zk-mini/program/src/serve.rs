//! `zk-mini serve`: a server until it is told to stop.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use zk_mini::ZkMini;
use zk_mini::storage::SyncMode;

use crate::block_on;
use crate::error::CliError;
use crate::listen::{self, Listen};
use crate::settings::Settings;
use crate::zoo_cfg::{ConfigError, ZooCfg};

const DEFAULT_PORT: u16 = 2181;

/// Run a server until SIGTERM or SIGINT
///
/// When it is ready to serve it prints one line, `listening on HOST:PORT`, on
/// standard output; everything else goes to standard error. SIGTERM and SIGINT
/// stop it: status 0. If it cannot start, it says why: status 2 if options or
/// zoo.cfg make no sense, otherwise 1.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 lets the system choose [default: 127.0.0.1:2181]
    ///
    /// HOST:PORT, or one of the two. PORT and :PORT are those of this machine alone,
    /// 127.0.0.1 and, where there is IPv6, ::1, and so are localhost:PORT and the
    /// default. *:PORT is every address; beyond this machine only the four-letter word
    /// srvr is answered unless --four-letter-words says otherwise. An IPv6 address
    /// stands in brackets: [::1]:2181.
    #[arg(long, value_name = "HOST:PORT", verbatim_doc_comment)]
    listen: Option<Listen>,

    /// The port to listen on; 0 lets the system choose [default: 2181]
    #[arg(long, value_name = "N", conflicts_with = "listen")]
    port: Option<u16>,

    /// An ordinary zoo.cfg; an option of the command line goes before it
    ///
    /// Read are clientPort, clientPortAddress, and what the options below set:
    /// dataDir (which has to be there, or --data-dir), dataLogDir,
    /// autopurge.snapRetainCount (with a purgeInterval), tickTime,
    /// minSessionTimeout, maxSessionTimeout, maxClientCnxns,
    /// clientPortListenBacklog, jute.maxbuffer, jute.maxbuffer.extrasize,
    /// 4lw.commands.whitelist,
    /// extendedTypesEnabled, znode.container.checkIntervalMs, skipACL,
    /// enforceQuota, reconfigEnabled, snapCount, preAllocSize,
    /// DigestAuthenticationProvider.superDigest; also with `zookeeper.` before
    /// it. Other keys are accepted, with one warning each, unless they look like
    /// one of ZooKeeper's misspelt: that is an error. With a file the defaults
    /// are ZooKeeper's for files: a tick of 3000 ms, and of the four-letter words
    /// only srvr. Without a clientPortAddress the server listens on this machine
    /// alone, unlike ZooKeeper; for every address, set * or 0.0.0.0.
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

pub(crate) fn run(args: ServeArgs) -> Result<ExitCode, CliError> {
    let file = args.config.as_deref().map(ZooCfg::read).transpose()?.unwrap_or_default();
    if let Some(name) = &args.config
        && args.data_dir.is_none()
        && file.data_dir.is_none()
    {
        return Err(ConfigError::NoDataDir { file: name.clone() }.into());
    }
    for remark in &file.remarks {
        tracing::warn!("{remark}");
    }
    block_on(serve(args, file))
}

async fn serve(args: ServeArgs, file: ZooCfg) -> Result<ExitCode, CliError> {
    // From here on, so that a signal right after the line on standard output is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Signals)?;

    let Listen { host, port } = match args.listen {
        Some(listen) => listen,
        None => Listen { host: file.client_port_address.unwrap_or_default(), port: None },
    };
    let port = args.port.or(port).or(file.client_port).unwrap_or(DEFAULT_PORT);
    let addrs = host.addrs(port).await?;
    let mut settings = args.settings.or(file.settings);
    let is_private = addrs.iter().all(|addr| addr.ip().to_canonical().is_loopback());
    // Some of them tell who is connected, or make the server busy.
    if !is_private && settings.answer_as_zookeeper_does() {
        tracing::info!("of the four-letter words only srvr is answered: see --four-letter-words");
    }
    let mut builder =
        settings.apply(listen::on(ZkMini::builder(), &addrs)).sync(args.sync.unwrap_or_default());
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
    zk.addr().into_iter().for_each(announce);

    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = zk.ended() => return Err(CliError::Ended),
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

/// Whoever has started the program waits for this line.
fn announce(addr: SocketAddr) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = writeln!(stdout, "listening on {addr}").and_then(|()| stdout.flush()) {
        tracing::warn!(%error, %addr, "listening, but standard output cannot be written to");
    }
}
