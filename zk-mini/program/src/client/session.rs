//! The options that name the servers, and the session of a command.

use std::env;
use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;
use zk_client::{Client, ConnectString};
use zk_wire::path;

use super::error::ClientError;
use super::output::Output;
use super::parse::seconds;

/// Attempts before a command gives up a server that stands alone: half a second, if it refuses. Servers of an ensemble may refuse
/// while they elect a leader.
const ROUNDS: NonZeroU32 = NonZeroU32::new(4).expect("not 0");

/// Number of times that a read is sent if its connection is lost.
const TRIES: usize = 3;

/// Maximum time for the end of the session: the command is done.
const CLOSING: Duration = Duration::from_secs(1);

/// Options of every command of the client.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server options")]
pub(crate) struct ServerArgs {
    /// Servers, and a chroot behind the last one [default: $ZK_HOSTS, else 127.0.0.1:2181]
    ///
    /// As in zk1:2181,zk2:2181,zk3:2181/app: any server of the list will do, and
    /// /app is the node that the command sees as /. The port is 2181 unless given.
    /// With TLS: 'zk1:2281/app?ca=FILE&certfile=FILE&keyfile=FILE&server_name=NAME',
    /// files in PEM; ca is needed, the key may stand in the file of the certificate.
    #[arg(long, short, value_name = "HOST:PORT[,…][/CHROOT][?TLS]", verbatim_doc_comment)]
    pub(crate) server: Option<String>,

    /// Identity for nodes with an ACL, as in digest:user:password; may be repeated
    ///
    /// Other users of the machine can read a command line. Better: the variable
    /// ZK_AUTH, or --auth-file; both have one identity on each line.
    #[arg(long, value_name = "SCHEME:CREDENTIALS", verbatim_doc_comment)]
    auth: Vec<String>,

    /// File with identities, one on each line; # begins a comment
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,

    /// Maximum time to wait for a connection, and for each answer
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Print JSON: one value, or one line for each event
    #[arg(long)]
    pub(crate) json: bool,
}

/// Session of a command.
pub(crate) struct Session {
    pub(crate) client: Client,
    limit: Duration,
}

/// Runs a command on a node with a session, and closes it. A path that can name no node is refused before.
pub(crate) fn with_session(
    args: &ServerArgs,
    path: &str,
    work: impl AsyncFnOnce(&Session, &mut Output) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    check(path)?;
    runtime()?.block_on(async {
        let session = args.connect().await?;
        let mut out = Output::new(args.json);
        let done = work(&session, &mut out).await.and_then(|()| out.flush());
        // If the server does not answer, the session ends by its timeout.
        let _ = session.client.close_within(CLOSING.min(session.limit)).await;
        done
    })
}

/// Refuses a path that can name no node.
pub(crate) fn check(path: &str) -> Result<(), ClientError> {
    path::validate(path).map_err(|source| ClientError::Path { path: path.into(), source })
}

/// Starts a runtime. Its one thread keeps the session alive while the main thread waits for a pager to read on.
pub(crate) fn runtime() -> Result<Runtime, ClientError> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(ClientError::Runtime)
}

/// Returns the list of servers: as given, as in the environment, or this machine's.
pub(crate) fn servers(given: Option<&str>) -> Result<ConnectString, ClientError> {
    Ok(ConnectString::parse(&servers_text(given))?)
}

fn servers_text(given: Option<&str>) -> String {
    let variable = || env::var("ZK_HOSTS").ok().filter(|text| !text.is_empty());
    given.map(str::to_owned).or_else(variable).unwrap_or_else(|| "127.0.0.1:2181".to_owned())
}

impl ServerArgs {
    async fn connect(&self) -> Result<Session, ClientError> {
        let identities = self.identities()?;
        let list = servers_text(self.server.as_deref());
        let stands_alone = ConnectString::parse(&list)?.servers.len() == 1;
        let mut builder = Client::builder().servers(list).connect_timeout(self.timeout);
        if stands_alone {
            builder = builder.connect_rounds(ROUNDS);
        }
        let client = builder.call_timeout(self.timeout).connect().await?;
        let session = Session { client, limit: self.timeout };
        for (scheme, credentials) in identities {
            session.ask(session.client.add_auth(&scheme, credentials.clone())).await?;
        }
        Ok(session)
    }

    fn identities(&self) -> Result<Vec<(String, String)>, ClientError> {
        let mut identities = Vec::new();
        for line in &self.auth {
            identities.push(identity("--auth", line)?);
        }
        let file = self.auth_file.as_deref().map(|file| {
            let what = || file.display().to_string();
            fs::read_to_string(file).map_err(|source| ClientError::Input { what: what(), source })
        });
        let variable = env::var("ZK_AUTH").unwrap_or_default();
        for (origin, text) in [("--auth-file", file.transpose()?.unwrap_or_default()), ("ZK_AUTH", variable)]
        {
            for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                identities.push(identity(origin, line)?);
            }
        }
        Ok(identities)
    }
}

/// Parses an identity. The error does not repeat it: it is a secret.
fn identity(origin: &'static str, text: &str) -> Result<(String, String), ClientError> {
    let parts = text.split_once(':').filter(|(scheme, _)| !scheme.is_empty());
    let (scheme, credentials) = parts.ok_or(ClientError::Identity { origin })?;
    Ok((scheme.to_owned(), credentials.to_owned()))
}

impl Session {
    /// Waits for an answer, within the limit.
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, zk_client::Error>>,
    ) -> Result<T, ClientError> {
        match timeout(self.limit, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(ClientError::NoAnswer { within: self.limit }),
        }
    }

    /// Waits until the server has seen all that was written before. Each command may reach another server of an ensemble, and
    /// must not miss what the command before it has written.
    pub(crate) async fn catch_up(&self) -> Result<(), ClientError> {
        self.read(|| self.client.sync("/")).await
    }

    /// Waits for the answer to a read, which is sent again if the connection is lost.
    pub(crate) async fn read<T, F>(&self, call: impl Fn() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, zk_client::Error>>,
    {
        let tries = async {
            for _ in 1..TRIES {
                match call().await {
                    Err(error) if error.is_retryable() => {}
                    done => return done,
                }
            }
            call().await
        };
        self.ask(tries).await
    }
}
