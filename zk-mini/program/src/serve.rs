//! `zk-mini serve`: runs a server until a signal stops it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::sync::Notify;
use zk_mini::ZkMini;

use crate::access_options::{AccessOptions, AuthSettings};
use crate::block_on;
use crate::disk_options::DiskOptions;
use crate::error::CliError;
use crate::http_options::{Access, HttpOptions};
use crate::listen::{Listen, port};
use crate::load::{LoadArgs, Loading};
use crate::notify::Supervisor;
use crate::ready::{Herald, Ready, ReadyArgs};
use crate::servers::ServersArgs;
use crate::settings::Settings;
use crate::start::{Start, Started};
use crate::stop::Stop;
use crate::tls_options::TlsOptions;
use crate::zoo_cfg::ZooCfg;
use crate::zoo_error::ConfigError;

const DEFAULT_PORT: u16 = 2181;

/// Run a server until SIGTERM, SIGINT or SIGHUP
///
/// Once ready, the server prints one line, `listening on HOST:PORT`, on standard
/// output. That port answers HTTP, too: http://HOST:PORT/ is a page that shows what
/// is in the server. The log goes to standard error. SIGTERM, SIGHUP unless it is
/// ignored, as under nohup, and, without --stop-on-eof, SIGINT stop the server with
/// status 0. A server that cannot start says why: status 2 for a bad option, zoo.cfg,
/// token or tree to load, otherwise 1.
/// A supervisor that sets NOTIFY_SOCKET, as systemd does for Type=notify, is told of
/// start and stop.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, args_override_self = true)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 lets the system choose [default: 127.0.0.1:2181]
    ///
    /// HOST:PORT, or one of the two. PORT, :PORT and localhost:PORT are loopback only:
    /// 127.0.0.1 and, if the machine has IPv6, ::1. *:PORT is every address of the
    /// machine; beyond loopback only the four-letter word srvr is answered, unless
    /// --four-letter-words allows more. Write an IPv6 address in brackets: [::1]:2181.
    /// May be repeated, to listen on several; with --servers for one server each. If it
    /// is given once, the next servers get the next ports, or, for port 0, free ones.
    #[arg(long, value_name = "HOST:PORT", verbatim_doc_comment)]
    listen: Vec<Listen>,

    #[command(flatten)]
    servers: ServersArgs,

    /// Port to listen on; 0 lets the system choose [default: 2181]
    #[arg(long, value_name = "N", value_parser = port, conflicts_with = "listen")]
    port: Option<u16>,

    /// Configuration file of ZooKeeper; options of the command line override it
    ///
    /// These keys have an effect: clientPort, clientPortAddress, and the keys that
    /// match options below: dataDir (required, unless --data-dir is given), dataLogDir,
    /// autopurge.snapRetainCount (with a purgeInterval), tickTime,
    /// minSessionTimeout, maxSessionTimeout, maxClientCnxns, maxCnxns,
    /// clientPortListenBacklog, jute.maxbuffer, jute.maxbuffer.extrasize,
    /// 4lw.commands.whitelist, extendedTypesEnabled,
    /// znode.container.checkIntervalMs, skipACL,
    /// enforceQuota, reconfigEnabled, snapCount, preAllocSize,
    /// DigestAuthenticationProvider.superDigest; for SASL authProvider.N, superUser,
    /// allowSaslFailedClients, letAnySaslUserDoX, sasl.serverconfig,
    /// SASLAuthenticationProvider.superPassword, and who must authenticate:
    /// sessionRequireClientSASLAuth, enforce.auth.enabled with enforce.auth.schemes;
    /// connection_throttle_tokens and the keys beside it; audit.enable; with several
    /// servers localSessionsEnabled, localSessionsUpgradingEnabled, and server.N, whose
    /// ports for other servers are only shown;
    /// for TLS secureClientPort, secureClientPortAddress, client.portUnification,
    /// ssl.keyStore.location and ssl.trustStore.location (in PEM or JKS), ssl.clientAuth,
    /// ssl.enabledProtocols, ssl.protocol, X509AuthenticationProvider.superUser;
    /// for HTTP admin.enableServer, admin.serverAddress, admin.serverPort,
    /// admin.commandURL, and
    /// metricsProvider.className with httpHost and httpPort; each also with the prefix
    /// `zookeeper.`. Other keys are accepted with one warning each; a key that looks
    /// like a misspelt key of ZooKeeper is an error. With a file the defaults are
    /// ZooKeeper's for files: a tick of 3000 ms, and srvr as the only four-letter
    /// word. Without a clientPortAddress the server listens on loopback only, unlike
    /// ZooKeeper; for every address, set * or 0.0.0.0. The AdminServer has a port (8080)
    /// only if the file has one of its keys, and it is on loopback, too.
    #[arg(long, value_name = "ZOO.CFG", verbatim_doc_comment)]
    config: Option<PathBuf>,

    #[command(flatten)]
    disk: DiskOptions,

    #[command(flatten)]
    load: LoadArgs,

    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    access: AccessOptions,

    #[command(flatten)]
    http: HttpOptions,

    #[command(flatten)]
    tls: TlsOptions,

    #[command(flatten)]
    ready: ReadyArgs,
}

pub(crate) fn run(mut args: ServeArgs) -> Result<ExitCode, CliError> {
    let herald = args.ready.claim()?;
    let servers = args.servers.count();
    let file =
        args.config.as_deref().map(|file| ZooCfg::read(file, servers)).transpose()?.unwrap_or_default();
    if let Some(name) = &args.config
        && args.disk.data_dir.is_none()
        && file.data_dir.is_none()
    {
        return Err(ConfigError::NoDataDir { file: name.clone() }.into());
    }
    for remark in &file.remarks {
        tracing::warn!("{remark}");
    }
    let sasl = std::mem::take(&mut args.access).read(args.config.as_ref().map(|_| &file.access))?;
    if let Some(remark) = sasl.remark {
        tracing::warn!("{remark}");
    }
    if args.ready.stop_on_eof {
        args.load.refuse_standard_input()?;
    }
    let loading = args.load.read()?;
    let access = args.http.access()?;
    block_on(serve(args, file, Prepared { loading, access, sasl, herald }))
}

/// Files and descriptors that have been read and taken over.
struct Prepared {
    loading: Option<Loading>,
    access: Option<Access>,
    sasl: AuthSettings,
    herald: Herald,
}

async fn serve(
    args: ServeArgs,
    file: ZooCfg,
    Prepared { loading, access, sasl, herald }: Prepared,
) -> Result<ExitCode, CliError> {
    // Before the server is announced, so that a signal right after that line is not lost.
    let mut stop = Stop::new().map_err(CliError::Signals)?;
    if args.ready.stop_on_eof {
        stop = stop.at_end_of_input().map_err(CliError::Runtime)?;
    }

    // A file with a secureClientPort alone opens no other port, as in ZooKeeper.
    let is_for_tls_only = args.listen.is_empty()
        && args.port.or(file.client_port).is_none()
        && file.tls.secure_listen().is_some();
    let tls = args.tls.plan(file.tls).await?;
    let mut listens = args.listen;
    if listens.is_empty() && !is_for_tls_only {
        listens.push(Listen { host: file.client_port_address.unwrap_or_default(), port: None });
    }
    let mut addrs = Vec::new();
    for Listen { host, port } in listens {
        let port = args.port.or(port).or(file.client_port).unwrap_or(DEFAULT_PORT);
        addrs.push(host.addrs(port).await?);
    }
    let servers = args.servers.spread("--listen", addrs)?;
    let tls = tls.spread(args.servers)?;
    let mut settings = args.settings.or(file.settings);
    let mut all = servers.iter().chain(&tls.addrs).flatten();
    let is_private = all.all(|addr| addr.ip().to_canonical().is_loopback());
    // Some words list the connected clients, or keep the server busy.
    if !is_private && settings.answer_as_zookeeper_does() {
        tracing::info!("of the four-letter words only srvr is answered; --four-letter-words allows more");
    }
    let on_file = DiskOptions {
        data_dir: file.data_dir,
        data_log_dir: file.data_log_dir,
        retain_snapshots: file.retain_snapshots,
        ..DiskOptions::default()
    };
    let mut disk = args.disk.or(on_file);
    disk.check(&settings)?;
    settings.remark_on_memory(disk.data_dir.is_some());
    if file.audits && disk.audit_log.is_none() {
        disk.audit_log = disk.audit_file();
    }
    // The data directory may be missing before the first start.
    if let Some(dir) = disk.audit_log.as_deref().and_then(Path::parent).filter(|_| file.audits) {
        let _ = std::fs::create_dir_all(dir);
    }
    let audit = disk.open_audit_log()?;
    if servers.len() == 1 && file.local_sessions {
        tracing::warn!(
            "localSessionsEnabled has no effect on a single server, as with ZooKeeper: its sessions are known to all"
        );
    }
    let builder =
        file.servers.apply(sasl.apply(disk.apply(file.throttle.apply(settings.apply(ZkMini::builder())))));
    let builder =
        builder.local_sessions(file.local_sessions).local_session_upgrades(file.local_session_upgrades);
    let builder = match audit.clone() {
        Some(audit) => builder.audit(move |record| audit.change(record)),
        None => builder,
    };
    let shut_down = Arc::new(Notify::new());
    let access = access.map(|access| access.on_shutdown(&shut_down));
    let start = Start { servers, observers: args.servers.observers(), tls, loading, access, keys: file.http };
    let supervisor = Supervisor::from_environment();
    let Started { zk, servers, tls, http } = tokio::select! {
        started = start.server(builder) => started?,
        // A large data directory takes its time.
        cause = stop.requested() => {
            supervisor.stopping(cause);
            tracing::info!(cause, "stopping before the start was finished");
            return Ok(ExitCode::SUCCESS);
        }
    };
    // Before clients are told of the server, so that the line comes before theirs.
    if let Some(audit) = &audit {
        audit.started(zk.now().wall);
    }
    let ready = Ready { servers, tls, compat: zk.status().compat, http };
    let _pid_file = match herald.announce(&ready) {
        Ok(pid_file) => pid_file,
        Err(error) => {
            if let Some(audit) = &audit {
                audit.stops(zk.now().wall);
            }
            zk.stop().await;
            return Err(error.into());
        }
    };
    supervisor.ready(&ready.status());

    let cause = tokio::select! {
        signal = stop.requested() => signal,
        () = shut_down.notified() => "the command SHUTDOWN over HTTP",
        () = zk.ended() => return Err(CliError::Ended),
    };
    supervisor.stopping(cause);
    if let Some(audit) = &audit {
        audit.stops(zk.now().wall);
    }
    tracing::info!(cause, connections = zk.connections().len(), "stopping");
    zk.stop().await;
    Ok(ExitCode::SUCCESS)
}
