//! Announcement of a server that serves: the lines that scripts and test suites wait for.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process;

use clap::{Args, ValueEnum};
use serde::Serialize;
use zk_mini::Compat;

use crate::http_ports::HttpAt;
use crate::pid_file::{PidFile, PidFileError};
use crate::ready_fd::{self, ReadyFd, ReadyFdError};

/// Options of `serve` for the program that starts it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options for supervisors and test suites")]
pub(crate) struct ReadyArgs {
    /// Form of the line that says that the server is ready
    ///
    /// text: `listening on HOST:PORT`; a further line with an address for TLS only,
    /// `tls on HOST:PORT`, and one with --http, `http on HOST:PORT`.
    /// json: an object on one line, with ready, listen (all addresses), tls (those for
    /// TLS only), http (URL, or
    /// null), http_on (addresses of --http), admin (URLs that a zoo.cfg asks for), pid,
    /// version, compat (the release of ZooKeeper that it behaves as); fields may be added.
    /// With --servers each server has its line, in order: as text first the lines
    /// `listening`, then the lines `tls`; as json one object for each server.
    #[arg(long, value_name = "FORM", value_enum, default_value_t, verbatim_doc_comment)]
    ready: Form,

    /// Write that line to this descriptor, too, and close it
    ///
    /// As in `zk-mini serve --ready-fd 3 3>ready.fifo`; a pipe, a socket or a file.
    /// If the server does not start, the descriptor is closed without a line.
    #[arg(long, value_name = "N", value_parser = ready_fd::number, verbatim_doc_comment)]
    ready_fd: Option<RawFd>,

    /// Write the process id to this file before the server is ready, and remove it at the end
    ///
    /// A file that is there already is replaced, as sshd and nginx do: the process in it
    /// may have been killed, and its number given to another. The file is complete
    /// whenever it exists, and it is not removed if another process has replaced it.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pid_file: Option<PathBuf>,

    /// Stop when standard input ends, and not at SIGINT
    ///
    /// For a test suite that starts the server with a pipe as standard input and writes
    /// nothing to it: when the suite ends, even by SIGKILL, so does the server. Ctrl-C
    /// is left to the suite, which may still ask the server what has happened.
    #[arg(long, verbatim_doc_comment)]
    pub(crate) stop_on_eof: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Form {
    #[default]
    Text,
    Json,
}

/// Ways to say that the server is ready, taken over before anything else is done.
#[derive(Debug)]
pub(crate) struct Herald {
    form: Form,
    fd: Option<ReadyFd>,
    pid_file: Option<PathBuf>,
}

/// Addresses of a server that is ready.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Addresses of each server, with the ports that they have got; none of a server for TLS only.
    pub(crate) servers: Vec<Vec<SocketAddr>>,
    /// Addresses for TLS only of each server.
    pub(crate) tls: Vec<Vec<SocketAddr>>,
    pub(crate) compat: Compat,
    pub(crate) http: HttpAt,
}

/// The line of `--ready json`. Fields are only ever added.
#[derive(Serialize)]
struct Line<'a> {
    ready: bool,
    listen: &'a [SocketAddr],
    tls: &'a [SocketAddr],
    http: Option<&'a str>,
    http_on: &'a [SocketAddr],
    admin: &'a [String],
    pid: u32,
    version: &'static str,
    compat: &'static str,
}

impl ReadyArgs {
    /// Takes over what the parent has passed on. To be called before the program opens anything.
    pub(crate) fn claim(&self) -> Result<Herald, ReadyFdError> {
        let fd = self.ready_fd.map(ReadyFd::claim).transpose()?;
        Ok(Herald { form: self.ready, fd, pid_file: self.pid_file.clone() })
    }
}

impl Herald {
    /// Announces the server. The file with the process id, if there is one, goes when it is dropped.
    pub(crate) fn announce(self, ready: &Ready) -> Result<Option<PidFile>, PidFileError> {
        let pid_file = self.pid_file.as_deref().map(PidFile::write).transpose()?;
        let lines = match self.form {
            Form::Text => ready.text(),
            Form::Json => ready.json(),
        };
        let mut stdout = io::stdout().lock();
        let written = lines.iter().try_for_each(|line| writeln!(stdout, "{line}"));
        if let Err(error) = written.and_then(|()| stdout.flush()) {
            tracing::warn!(%error, listen = ?ready.servers, "ready, but standard output cannot be written to");
        }
        // A line of each server; what follows is for people.
        let of_servers = lines.get(..ready.servers.len()).unwrap_or(&lines).join("\n");
        if let Some(fd) = self.fd
            && let Err(error) = fd.write(&of_servers)
        {
            tracing::warn!(%error, "ready, but the descriptor of --ready-fd cannot be written to");
        }
        Ok(pid_file)
    }
}

impl Ready {
    /// Returns what a person reads in the status of a service.
    pub(crate) fn status(&self) -> String {
        self.text().join(", ")
    }

    fn text(&self) -> Vec<String> {
        let firsts =
            |all: &[Vec<SocketAddr>]| all.iter().filter_map(|addrs| addrs.first().copied()).collect();
        let (plain, tls): (Vec<_>, Vec<_>) = (firsts(&self.servers), firsts(&self.tls));
        let listening = if plain.is_empty() { tls.clone() } else { plain };
        let listening = listening.into_iter().map(|addr| format!("listening on {addr}"));
        let tls = tls.into_iter().map(|addr| format!("tls on {addr}"));
        let http = self.http.own.first().map(|addr| format!("http on {addr}"));
        listening.chain(tls).chain(http).collect()
    }

    fn json(&self) -> Vec<String> {
        let urls = std::iter::once(&self.http.url).chain(&self.http.others);
        let line = |((listen, tls), url): ((&Vec<SocketAddr>, &[SocketAddr]), &Option<String>)| {
            let line = Line {
                ready: true,
                listen,
                tls,
                http: url.as_deref(),
                http_on: &self.http.own,
                admin: &self.http.admin,
                pid: process::id(),
                version: env!("CARGO_PKG_VERSION"),
                compat: self.compat.release(),
            };
            serde_json::to_string(&line).ok()
        };
        let none = std::iter::repeat(&None);
        let tls = self.tls.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
        self.servers.iter().zip(tls).zip(urls.chain(none)).filter_map(line).collect()
    }
}
