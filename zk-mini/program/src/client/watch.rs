//! `zk-mini watch`: the changes of a node, as they come.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use zk_client::{EventType, SessionState, WatchUpdate};

use super::error::{ClientError, STATUSES};
use super::output::{Output, Visible, note};
use super::parse::{count, seconds};
use super::session::{ServerArgs, with_session};
use super::time::{after, too_few};
use crate::stop::Stop;

/// Print the changes of a node, as they come
///
/// One line for each: `created`, `deleted`, `changed` (its data was set) or
/// `children` (one was created or deleted), then the path. `missed` means that
/// changes may have gone unnoticed, because the connection was lost meanwhile. The
/// node need not exist. The watch goes on over lost connections, and over sessions
/// that expire, until Ctrl-C. Once it is set, a line on standard error says so.
/// Needs a server of version 3.6 or later.
///
/// JSON: a line {"event","path"} for each; the event is NodeCreated, NodeDeleted,
/// NodeDataChanged, NodeChildrenChanged or Missed.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct WatchArgs {
    /// The node
    #[arg(default_value = "/")]
    path: String,

    /// All nodes below it, too; a child that comes or goes has its own line
    #[arg(long, short)]
    recursive: bool,

    /// End after this number of changes
    #[arg(long, short = 'n', value_name = "N", value_parser = count)]
    count: Option<NonZeroUsize>,

    /// End after this time: with status 0, or 3 if --count is not reached
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    span: Option<Duration>,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Serialize)]
struct Event<'a> {
    event: String,
    path: &'a str,
}

pub(crate) fn run(args: &WatchArgs) -> Result<(), ClientError> {
    with_session(&args.server, &args.path, async |session, out| {
        let mut stop = Stop::new().map_err(ClientError::Signals)?;
        let client = &session.client;
        let mut watch = if args.recursive {
            session.ask(client.watch_recursive(&args.path)).await?
        } else {
            session.ask(client.watch_persistent(&args.path)).await?
        };
        let mut states = client.states();
        note(format_args!(
            "watching {}{}",
            Visible(&args.path),
            if args.recursive { " and below" } else { "" }
        ));
        let end = after(args.span);
        tokio::pin!(end);
        let mut seen = 0;
        loop {
            let update = tokio::select! {
                biased;
                _ = stop.requested() => return Ok(()),
                update = watch.next() => update,
                state = states.changed() => {
                    tell(state);
                    continue;
                }
                () = &mut end => return too_few(args.count, args.span, seen),
            };
            // The client is closed only below.
            let Some(update) = update else { return Ok(()) };
            print(&update, &args.path, out)?;
            out.flush()?;
            seen += usize::from(update != WatchUpdate::Missed);
            if args.count.is_some_and(|count| seen >= count.get()) {
                return Ok(());
            }
        }
    })
}

fn tell(state: Option<SessionState>) {
    match state {
        Some(SessionState::Disconnected(_)) => note("connection lost; trying again"),
        Some(SessionState::Connected(_)) => note("connected again"),
        _ => {}
    }
}

fn print(update: &WatchUpdate, top: &str, out: &mut Output) -> Result<(), ClientError> {
    let (name, word, path) = match update {
        WatchUpdate::Missed => ("Missed".to_owned(), "missed".to_owned(), top),
        WatchUpdate::Changed(event) => {
            let name = event.event.to_string();
            let word = match event.event {
                EventType::NODE_CREATED => "created".to_owned(),
                EventType::NODE_DELETED => "deleted".to_owned(),
                EventType::NODE_DATA_CHANGED => "changed".to_owned(),
                EventType::NODE_CHILDREN_CHANGED => "children".to_owned(),
                _ => name.clone(),
            };
            (name, word, &*event.path)
        }
    };
    out.print(&Event { event: name, path }, format_args!("{word:<8} {}", Visible(path)))
}
