//! `zk-mini stat`: what the server knows of a node besides its data.

use clap::Args;
use serde::Serialize;
use zk_client::ErrorCode;

use super::error::{ClientError, STATUSES};
use super::node::{StatFields, StatInWords, kind, name};
use super::session::{ServerArgs, with_session};

/// Print the stat of a node, in words
///
/// Says what kind of node it is, then each field of ZooKeeper's Stat with its
/// meaning. A transaction has a number, the zxid. ZooKeeper 3.8 asks for no
/// permission, 3.9 for r.
///
/// JSON: {"path","name","kind","stat"}; the kind is ephemeral or persistent. Servers
/// do not tell containers and nodes with a time to live from persistent ones.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct StatArgs {
    /// The node
    path: String,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Serialize)]
struct Node<'a> {
    path: &'a str,
    name: &'a str,
    kind: &'a str,
    stat: StatFields,
}

pub(crate) fn run(args: &StatArgs) -> Result<(), ClientError> {
    with_session(&args.server, &args.path, async |session, out| {
        let path = &args.path;
        session.catch_up().await?;
        let stat = session.read(|| session.client.exists(path)).await?;
        let missing = || ClientError::Refused { op: "exists", path: path.clone(), code: ErrorCode::NO_NODE };
        let stat = stat.ok_or_else(missing)?;
        let fields = Node { path, name: name(path), kind: kind(&stat), stat: StatFields::from(&stat) };
        out.print(&fields, StatInWords { path, stat: &stat })
    })
}
