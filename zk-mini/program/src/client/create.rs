//! `zk-mini create`: makes a node, and holds it if it is ephemeral.

use std::time::Duration;

use clap::Args;
use zk_client::{Acl, CreateMode, SessionState};
use zk_wire::path;

use super::error::{ClientError, STATUSES};
use super::input;
use super::node::{StatFields, Written};
use super::output::{Visible, note};
use super::parse::{AclList, acl, seconds};
use super::session::{ServerArgs, with_session};
use crate::stop::Stop;

/// Create a node
///
/// Prints the path of the node, with the number of a sequential one. DATA is as in
/// `zk-mini set`; without it the node is empty.
///
/// An ephemeral node lives as long as its session: the command prints its path and
/// holds it until Ctrl-C, SIGTERM or SIGHUP, then deletes it.
///
/// JSON: {"path","stat"}.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct CreateArgs {
    /// The node; with --sequential, the beginning of its name
    path: String,

    /// Text, - for standard input, or @FILE
    #[arg(default_value = "", hide_default_value = true, allow_negative_numbers = true)]
    data: String,

    /// Delete it when this command ends, or is heard of no more
    #[arg(long, short)]
    ephemeral: bool,

    /// Append the next number of its parent, ten digits
    #[arg(long, short = 'q')]
    sequential: bool,

    /// Create the parents that are missing, and the chroot
    #[arg(long, short)]
    parents: bool,

    /// Let the server delete it after its last child
    #[arg(long, conflicts_with_all = ["ephemeral", "sequential"])]
    container: bool,

    /// Let the server delete it when it has not changed for a time and has no children
    ///
    /// The server must run with zookeeper.extendedTypesEnabled=true.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with_all = ["ephemeral", "container"])]
    ttl: Option<Duration>,

    /// Access to it, as in `zk-mini acl` [default: world:anyone:cdrwa]
    #[arg(long, value_name = "SCHEME:ID:PERMISSIONS[,…]", value_parser = acl)]
    acl: Option<AclList>,

    #[command(flatten)]
    server: ServerArgs,
}

impl CreateArgs {
    fn mode(&self) -> CreateMode {
        match (self.ephemeral, self.sequential, self.container, self.ttl) {
            (true, false, ..) => CreateMode::Ephemeral,
            (true, true, ..) => CreateMode::EphemeralSequential,
            (.., true, _) => CreateMode::Container,
            (_, false, _, Some(ttl)) => CreateMode::PersistentWithTtl(ttl),
            (_, true, _, Some(ttl)) => CreateMode::PersistentSequentialWithTtl(ttl),
            (_, false, _, None) => CreateMode::Persistent,
            (_, true, _, None) => CreateMode::PersistentSequential,
        }
    }
}

pub(crate) fn run(args: &CreateArgs) -> Result<(), ClientError> {
    let data = input::data(&args.data)?;
    // The name of a sequential node may be its number alone.
    let named = args.path.strip_suffix('/').filter(|parent| args.sequential && !parent.is_empty());
    with_session(&args.server, named.unwrap_or(&args.path), async |session, out| {
        // Before the node exists, so that a signal right after its path is printed is not lost.
        let mut stop = Stop::new().map_err(ClientError::Signals)?;
        let mut states = session.client.states();
        let (client, open) = (&session.client, [Acl::open()]);
        if args.parents
            && let Some((parent, _)) = path::split(&args.path)
        {
            session.ask(client.ensure_path(parent)).await?;
        }
        let acl = args.acl.as_ref().map_or(&open[..], |AclList(acl)| acl);
        let created = session.ask(client.create_with_acl(&args.path, data, args.mode(), acl)).await?;
        let node = Written { path: &created.path, stat: StatFields::from(&created.stat) };
        out.print(&node, Visible(&created.path))?;
        if !args.ephemeral {
            return Ok(());
        }
        out.flush()?;
        note(format_args!("{} is held until Ctrl-C", Visible(&created.path)));
        let owner = created.stat.ephemeral_owner;
        loop {
            let state = tokio::select! {
                _ = stop.requested() => return Ok(()),
                state = states.changed() => state,
            };
            match state {
                Some(SessionState::Disconnected(_)) => {
                    note("connection lost; the node stays if it is back in time");
                }
                Some(SessionState::Connected(id)) if id == owner => note("connected again"),
                _ => return Err(ClientError::NodeLost { path: created.path }),
            }
        }
    })
}
