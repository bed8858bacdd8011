//! Options of the commands that speak HTTP.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::target::Target;
use crate::client::error::ClientError;
use crate::client::parse::seconds;
use crate::client::session::servers;

/// Options of `explain` and `tail`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server options")]
pub(crate) struct HttpArgs {
    /// Server, a zk-mini, and a chroot behind it [default: $ZK_HOSTS, else 127.0.0.1:2181]
    #[arg(long, short, value_name = "HOST:PORT[/CHROOT]")]
    server: Option<String>,

    /// Address of its HTTP, unless that is the ZooKeeper port [default: $ZK_MINI_HTTP]
    #[arg(long, value_name = "http://HOST:PORT")]
    http: Option<String>,

    /// File whose first line is the token that the server asks for
    #[arg(long, value_name = "FILE")]
    http_token_file: Option<PathBuf>,

    /// Maximum time to wait for a connection, and for an answer
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Print JSON: one value, or one line for each entry
    #[arg(long)]
    pub(crate) json: bool,
}

impl HttpArgs {
    /// Returns the chroot of the list of servers, and the places to try.
    pub(super) fn targets(&self) -> Result<(String, Vec<Target>), ClientError> {
        let list = servers(self.server.as_deref())?;
        let variable = || env::var("ZK_MINI_HTTP").ok().filter(|url| !url.is_empty());
        // A server that is named on the command line is meant, not that of the environment.
        let url = self.http.clone().or_else(|| if self.server.is_none() { variable() } else { None });
        let targets = match url {
            Some(url) => vec![Target::of_url(&url)?],
            None => list.servers.into_iter().map(Target::of_server).collect(),
        };
        Ok((list.chroot, targets))
    }

    /// Reads the token.
    pub(super) fn token(&self) -> Result<Option<String>, ClientError> {
        let Some(file) = &self.http_token_file else { return Ok(None) };
        let failed = |source| ClientError::Input { what: file.display().to_string(), source };
        let text = fs::read_to_string(file).map_err(failed)?;
        Ok(Some(text.lines().next().unwrap_or_default().trim().to_owned()))
    }
}
