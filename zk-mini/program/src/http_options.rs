//! `--http`, `--http-token-file`, `--http-open`: who gets which HTTP, and where.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio::sync::Notify;
use zk_mini_http::{InvalidToken, Settings};

use crate::listen::Listen;

/// Options of the commands that start a server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP options")]
pub(crate) struct HttpOptions {
    /// Further address for HTTP, besides the ZooKeeper port; off: no HTTP at all
    ///
    /// The ZooKeeper port answers HTTP, too, without any option: http://localhost:2181/
    /// is a page, /v1 is for programs, /commands and /metrics are those of ZooKeeper.
    /// Forms of the address as for the ZooKeeper port; a port is needed, 0 lets the
    /// system choose. `serve` prints it in a second line, `http on HOST:PORT`.
    /// off also keeps the ports closed that a zoo.cfg asks for.
    #[arg(long, value_name = "HOST:PORT|off", verbatim_doc_comment)]
    http: Option<Wish>,

    /// Ask for the token in the first line of this file: `Authorization: Bearer TOKEN`
    ///
    /// Beyond loopback HTTP is off without it. A token has 16 characters or more:
    /// `openssl rand -hex 32 >token; chmod 600 token`. It is asked for on loopback, too.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    http_token_file: Option<PathBuf>,

    /// Parts of HTTP that are open without a token everywhere: metrics, commands, or both
    ///
    /// metrics: /metrics, for Prometheus. commands: /commands, ZooKeeper's AdminServer,
    /// as far as it changes nothing.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum, verbatim_doc_comment)]
    http_open: Vec<Part>,
}

/// Value of `--http`.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Wish {
    Off,
    On(Listen),
}

/// Part that can be open without a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Part {
    Metrics,
    Commands,
}

/// HTTP that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) settings: Settings,
    /// Address for a port of its own.
    pub(crate) own: Option<Listen>,
    pub(crate) has_token: bool,
    pub(crate) open: Vec<Part>,
}

/// Reason why a file has no token.
#[derive(Debug, thiserror::Error)]
#[error("--http-token-file {}: {why}; `openssl rand -hex 32` makes a token", file.display())]
pub(crate) struct TokenError {
    file: PathBuf,
    why: WhyNoToken,
}

/// Reason why HTTP cannot be as it is wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpOptionsError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("--http off leaves nothing for {option} to protect or to open: leave one of the two out")]
    Off { option: &'static str },
}

#[derive(Debug, thiserror::Error)]
enum WhyNoToken {
    #[error("cannot be read: {0}")]
    Read(io::Error),
    #[error("the first line has {0} characters, and a token has at least {SHORTEST}")]
    Short(usize),
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
}

/// Minimum length of a token: shorter ones can be guessed.
const SHORTEST: usize = 16;

/// Maximum length of the line with the token; no file that is meant has a longer one.
const LONGEST: u64 = 4096;

impl HttpOptions {
    /// Returns the HTTP that is wanted, with the token read; `None` if it is off.
    ///
    /// # Errors
    /// If the file has no token, or an option is about HTTP that is off.
    pub(crate) fn access(&self) -> Result<Option<Access>, HttpOptionsError> {
        let own = match &self.http {
            Some(Wish::Off) if self.http_token_file.is_some() => {
                return Err(HttpOptionsError::Off { option: "--http-token-file" });
            }
            Some(Wish::Off) if !self.http_open.is_empty() => {
                return Err(HttpOptionsError::Off { option: "--http-open" });
            }
            Some(Wish::Off) => return Ok(None),
            Some(Wish::On(listen)) => Some(listen.clone()),
            None => None,
        };
        let open = self.http_open.clone();
        let (metrics, commands) = (open.contains(&Part::Metrics), open.contains(&Part::Commands));
        let mut settings = Settings::default().open(metrics, commands);
        let has_token = self.http_token_file.is_some();
        if let Some(file) = &self.http_token_file {
            let token = read_token(file).and_then(|token| Ok(settings.token(&token)?));
            settings = token.map_err(|why| TokenError { file: file.clone(), why })?;
        }
        Ok(Some(Access { settings, own, has_token, open }))
    }
}

impl Access {
    /// Lets the controller's command SHUTDOWN end this program.
    pub(crate) fn on_shutdown(self, end: &Arc<Notify>) -> Self {
        let end = Arc::clone(end);
        Self { settings: self.settings.on_shutdown(move || end.notify_one()), ..self }
    }

    /// Answers the controller's command SHUTDOWN with a refusal.
    pub(crate) fn refuse_shutdown(self, reason: &'static str) -> Self {
        Self { settings: self.settings.refuse_shutdown(reason), ..self }
    }

    /// Returns true if a port at this address shows everything, with a token or without.
    pub(crate) fn shows_everything(&self, addr: SocketAddr) -> bool {
        self.has_token || addr.ip().to_canonical().is_loopback()
    }

    /// Returns true if a port at this address shows any of these parts.
    pub(crate) fn shows(&self, addr: SocketAddr, parts: &[Part]) -> bool {
        self.shows_everything(addr) || self.open.iter().any(|open| parts.contains(open))
    }
}

impl FromStr for Wish {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        match text.parse() {
            Ok(listen @ Listen { port: Some(_), .. }) => Ok(Self::On(listen)),
            _ => Err("off, or an address with a port: HOST:PORT, PORT, :PORT or *:PORT"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metrics => "metrics",
            Self::Commands => "commands",
        })
    }
}

fn read_token(path: &Path) -> Result<String, WhyNoToken> {
    let file = File::open(path).map_err(WhyNoToken::Read)?;
    let mode = file.metadata().map_err(WhyNoToken::Read)?.mode();
    if mode & 0o004 != 0 {
        let file = path.display();
        tracing::warn!(%file, "everybody on this machine can read the token: chmod 600 keeps it to its owner");
    }
    let mut line = String::new();
    BufReader::new(io::Read::take(file, LONGEST)).read_line(&mut line).map_err(WhyNoToken::Read)?;
    let token = line.trim();
    match token.chars().count() {
        short if short < SHORTEST => Err(WhyNoToken::Short(short)),
        _ => Ok(token.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_address_has_a_port() {
        assert_eq!("off".parse(), Ok(Wish::Off));
        for text in ["8080", ":0", "*:8080", "[::1]:0", "localhost:0"] {
            assert!(matches!(text.parse(), Ok(Wish::On(_))), "{text}");
        }
        for text in ["", "on", "localhost", "127.0.0.1", "http://localhost:8080", "65536"] {
            assert!(text.parse::<Wish>().is_err(), "{text}");
        }
    }
}
