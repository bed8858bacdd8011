//! `zk-mini tail`: what happens in the server, as it happens.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::error::{ClientError, STATUSES};
use super::http::{Connection, HttpArgs, Parser, SseEvent, connect, encoded};
use super::output::{Output, Visible, note};
use super::parse::{count, seconds};
use super::session::runtime;
use super::time::{after, readable, too_few};
use crate::number::number;
use crate::stop::Stop;

/// Kinds of entries that are of interest without being asked for: not each read of each client.
const USUAL_KINDS: &str = "transaction,connect,disconnect,close,expiry,fault,server";

/// Pauses between attempts to connect again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Print what happens in the server, as it happens
///
/// Begins with the latest entries of the server's history and goes on until Ctrl-C,
/// over lost connections, too. An entry has time (UTC), zxid and kind, then what
/// happened and why. Only zk-mini keeps a history; it is asked over HTTP, at its
/// ZooKeeper port.
///
/// JSON: a line for each entry, {"seq","zxid","time","kind","session","path","what",
/// "because",…}; {"missed":N} if N entries were gone before they could be read.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct TailArgs {
    /// Only entries about this node; '/a/**' stands for all nodes below /a
    path: Option<String>,

    /// Number of past entries to begin with
    #[arg(long, short = 'n', value_name = "N", default_value = "10", value_parser = number(0..=10_000))]
    lines: u16,

    /// Only entries about this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// Kinds of entries, or `all`
    ///
    /// request, transaction, event (told to a watch), connect, disconnect, close,
    /// expiry, fault and server, with commas between them.
    #[arg(long, value_name = "KIND[,…]", default_value = USUAL_KINDS, verbatim_doc_comment)]
    kind: String,

    /// End after the past entries
    #[arg(long)]
    no_follow: bool,

    /// End after this number of further entries
    #[arg(long, value_name = "N", value_parser = count, conflicts_with = "no_follow")]
    count: Option<NonZeroUsize>,

    /// End after this time: with status 0, or 3 if --count is not reached
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds, conflicts_with = "no_follow")]
    span: Option<Duration>,

    #[command(flatten)]
    http: HttpArgs,
}

pub(crate) fn run(args: &TailArgs) -> Result<(), ClientError> {
    runtime()?.block_on(async {
        let mut stop = Stop::new().map_err(ClientError::Signals)?;
        let mut out = Output::new(args.http.json);
        let seen = Cell::new(0);
        let tail = Tail { args, out: &mut out, seen: &seen };
        let done = tokio::select! {
            biased;
            _ = stop.requested() => Ok(()),
            done = tail.run() => done,
            () = after(args.span) => too_few(args.count, args.span, seen.get()),
        };
        done.and_then(|()| out.flush())
    })
}

struct Tail<'a> {
    args: &'a TailArgs,
    out: &'a mut Output,
    /// Number of entries after the past ones.
    seen: &'a Cell<usize>,
}

impl Tail<'_> {
    async fn run(mut self) -> Result<(), ClientError> {
        let mut past = connect(&self.args.http).await?;
        let query = self.query(&past);
        // The stream comes first, so that nothing is lost between the past and it.
        let live = if self.args.no_follow { None } else { Some(self.open(&query, None).await?) };
        let mut last = None;
        if self.args.lines > 0 {
            let entries = past.json(&format!("/v1/history?limit={}{query}", self.args.lines)).await?;
            for mut entry in entries.as_array().into_iter().flatten().cloned() {
                last = entry["seq"].as_u64();
                past.strip(&mut entry);
                self.print(&entry)?;
            }
            self.out.flush()?;
        }
        let Some(mut live) = live else { return Ok(()) };
        let mut resume = last.map(|seq| seq.to_string());
        loop {
            if self.follow(live, last, &mut resume).await? {
                return Ok(());
            }
            note("connection lost; trying again");
            live = self.open_again(&query, resume.as_deref()).await?;
            note("connected again");
            // The server has begun behind the last entry; after a restart its numbers are others.
            last = None;
        }
    }

    /// Returns the conditions on entries, for a URL.
    fn query(&self, zk: &Connection) -> String {
        let TailArgs { path, session, kind, .. } = self.args;
        let below_chroot = || (!zk.chroot.is_empty()).then(|| "/**".to_owned());
        let path = path.clone().or_else(below_chroot).map(|path| zk.apply(&path));
        let kind = Some(kind).filter(|kind| *kind != "all");
        let conditions = [("path", path.as_ref()), ("session", session.as_ref()), ("kind", kind)];
        let given = conditions.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.map(|(name, value)| format!("&{name}={}", encoded(value))).collect()
    }

    async fn open(&self, query: &str, last: Option<&str>) -> Result<(Connection, Incoming), ClientError> {
        let mut zk = connect(&self.args.http).await?;
        let path = format!("/v1/events?{}", query.trim_start_matches('&'));
        let stream = zk.events(&path, last).await?;
        Ok((zk, stream))
    }

    /// Tries until the limit for a connection is over.
    async fn open_again(
        &self,
        query: &str,
        last: Option<&str>,
    ) -> Result<(Connection, Incoming), ClientError> {
        let limit = self.args.http.timeout;
        let mut failure = ClientError::NoAnswer { within: limit };
        let tries = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.open(query, last).await {
                    Err(error) if error.is_of_the_connection() => failure = error,
                    done => return done,
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        match timeout(limit, tries).await {
            Ok(done) => done,
            Err(_) => Err(failure),
        }
    }

    /// Prints entries until the stream ends. Returns true if they are enough. `resume` gets the id behind which to go on.
    async fn follow(
        &mut self,
        (zk, mut stream): (Connection, Incoming),
        printed: Option<u64>,
        resume: &mut Option<String>,
    ) -> Result<bool, ClientError> {
        let mut parser = Parser::default();
        while let Some(Ok(frame)) = stream.frame().await {
            let Some(bytes) = frame.data_ref() else { continue };
            if !parser.push(bytes) {
                return Err(ClientError::NoZkMini { who: "the server sends an event without an end".into() });
            }
            while let Some(SseEvent { event, data }) = parser.event() {
                let Ok(mut entry) = serde_json::from_str::<Value>(&data) else { continue };
                if event != "missed" {
                    if entry["seq"].as_u64().zip(printed).is_some_and(|(seq, printed)| seq <= printed) {
                        continue;
                    }
                    self.seen.set(self.seen.get() + 1);
                }
                zk.strip(&mut entry);
                self.print(&entry)?;
                if self.args.count.is_some_and(|count| self.seen.get() >= count.get()) {
                    return Ok(true);
                }
            }
            if let Some(id) = parser.last_id() {
                *resume = Some(at_least(id, printed));
            }
            self.out.flush()?;
        }
        Ok(false)
    }

    fn print(&mut self, entry: &Value) -> Result<(), ClientError> {
        self.out.print(entry, Line(entry))
    }
}

/// Returns the id of the later of two entries: that with an id, and the last one that was printed before.
fn at_least(id: &str, printed: Option<u64>) -> String {
    match (id.split_once('-'), printed) {
        (Some((seq, tag)), Some(printed)) if seq.parse().is_ok_and(|seq: u64| seq < printed) => {
            format!("{printed}-{tag}")
        }
        _ => id.to_owned(),
    }
}

/// Entry for people.
struct Line<'a>(&'a Value);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(missed) = self.0["missed"].as_u64() {
            return write!(f, "… {missed} entries were gone before they could be read");
        }
        let text = |name: &str| self.0[name].as_str();
        let (time, zxid) = (readable(text("time").unwrap_or("?")), text("zxid").unwrap_or("?"));
        let (kind, what) = (text("kind").unwrap_or("?"), text("what").unwrap_or("?"));
        let (path, because) = (text("path"), text("because"));
        write!(f, "{time}  {zxid:<6}  {kind:<11}  ")?;
        // The reason of a change is a sentence whose subject is the node.
        if let ("transaction", Some(path)) = (kind, path) {
            return write!(f, "{} {}", Visible(path), Visible(because.unwrap_or(what)));
        }
        if let Some(session) = text("session") {
            write!(f, "session {session}: ")?;
        } else if let Some(client) = text("client") {
            write!(f, "client {client}: ")?;
        }
        // The reason says it all.
        if let ("connect" | "disconnect" | "close" | "expiry", Some(because)) = (kind, because) {
            return write!(f, "{}", Visible(because));
        }
        write!(f, "{}", Visible(what))?;
        if let Some(path) = path {
            write!(f, " {}", Visible(path))?;
        }
        because.map_or(Ok(()), |because| write!(f, ": {}", Visible(because)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_a_line() {
        let time = "2026-11-28T09:41:07.120Z";
        for (entry, line) in [
            (
                json!({"time": time, "zxid": "0x5", "kind": "transaction", "path": "/a", "what": "created",
                       "because": "created by session 0x17"}),
                "2026-11-28 09:41:07.120  0x5     transaction  /a created by session 0x17",
            ),
            (
                json!({"time": time, "zxid": "0x5", "kind": "expiry", "session": "0x17", "path": null,
                       "what": "expired", "because": "expired, last heard 6 s before"}),
                "2026-11-28 09:41:07.120  0x5     expiry       session 0x17: expired, last heard 6 s before",
            ),
            (json!({"missed": 7}), "… 7 entries were gone before they could be read"),
        ] {
            assert_eq!(Line(&entry).to_string(), line);
        }
    }
}
