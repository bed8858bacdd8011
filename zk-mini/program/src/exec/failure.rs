//! `--explain-on-failure`: what the server has seen, after a command that failed.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use zk_mini::history::{Entry, EntryKind, History};
use zk_mini::{Handle, SessionInfo};
use zk_wire::{SessionId, Utc};

/// Number of entries unless the option says so.
pub(super) const USUAL: &str = "50";

/// Two options of which one takes the other its effect.
#[derive(Debug, thiserror::Error)]
#[error(
    "--explain-on-failure prints the history, and with --history 0 there is none; leave one of the two out"
)]
pub(crate) struct NoHistory;

/// Prints the last entries of the history on standard error, and the clients that they are about.
pub(super) fn explain(zk: &Handle, status: ExitStatus, limit: usize) {
    let text = text(&zk.history(), &zk.sessions(), &ending(status), limit);
    // If nobody reads it, nothing is lost.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the command ended with status {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("the command was ended by {signal}"),
            Err(_) => format!("the command was ended by signal {number}"),
        },
        (None, None) => "the command failed".into(),
    }
}

fn text(history: &History, alive: &[SessionInfo], ending: &str, limit: usize) -> String {
    let told = history.clone().filter(Entry::is_of_story);
    let (all, last) = (told.len(), told.last(limit));
    if last.is_empty() {
        return format!(
            "zk-mini: {ending}; no client has done anything at the server, as far as it remembers\n"
        );
    }
    let which = match (last.len(), all) {
        (1, 1) => "what happened at the server".to_owned(),
        (shown, all) if shown == all => format!("the {all} things that happened at the server"),
        (shown, all) => format!("the last {shown} of {all} things that happened at the server"),
    };
    let mut text = format!("zk-mini: {ending}; {which} (times in UTC):\n");
    for entry in &last {
        let _ = writeln!(text, "  {entry}");
    }
    let mut sessions: Vec<_> = last.iter().filter_map(|entry| entry.session).collect();
    sessions.sort_unstable();
    sessions.dedup();
    if !sessions.is_empty() {
        text.push_str("Sessions in these lines:\n");
    }
    for id in sessions {
        let client = client(history, alive, id);
        let _ = writeln!(text, "  {id}  {client}");
    }
    text
}

/// Says who a session is of, when it began, and what has become of it.
fn client(history: &History, alive: &[SessionInfo], id: SessionId) -> String {
    let of_it = || history.iter().filter(|entry| entry.session == Some(id));
    let opened = of_it().find(|entry| entry.kind == EntryKind::Connect && entry.what == "opened");
    let ended = of_it().rfind(|entry| matches!(entry.kind, EntryKind::Close | EntryKind::Expiry));
    let address = of_it().filter_map(|entry| entry.client).next();
    let mut text = address.map_or_else(|| "client unknown".into(), |address| format!("client {address}"));
    if let Some(opened) = opened {
        let time = Utc(opened.time).to_string();
        let _ = write!(text, ", at {time} {}", opened.because.as_deref().unwrap_or("opened"));
    }
    let end = ended.and_then(|entry| entry.because.as_deref());
    let _ = match (alive.iter().find(|session| session.id == id), end) {
        (Some(session), _) => {
            let (nodes, watches) = (session.ephemerals.len(), session.watches);
            write!(text, "; alive, with ephemeral nodes: {nodes}, watches: {watches}")
        }
        (None, Some(end)) => write!(text, "; {end}"),
        (None, None) => write!(text, "; not alive"),
    };
    text
}
