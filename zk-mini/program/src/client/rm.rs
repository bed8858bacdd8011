//! `zk-mini rm`: deletes a node, or a whole tree.

use clap::Args;
use futures_util::future::join_all;
use serde::Serialize;
use zk_client::{ErrorCode, Expected, Version};

use super::error::{ClientError, STATUSES};
use super::parse::{expected, version};
use super::session::{ServerArgs, Session, with_session};
use super::walk::{AT_A_TIME, walk};

/// Rounds through a tree to which others add nodes.
const ROUNDS: usize = 8;

/// Delete a node
///
/// Prints nothing. With -r deletes the nodes below it first; others may see a part
/// of the tree meanwhile.
///
/// JSON: {"path","deleted"}, with the number of nodes.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct RmArgs {
    /// The node
    path: String,

    /// Delete all nodes below it, too
    #[arg(long, short)]
    recursive: bool,

    /// Version that the node must have
    #[arg(long, value_name = "N", value_parser = version, conflicts_with = "recursive")]
    version: Option<Version>,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Serialize)]
struct Deleted<'a> {
    path: &'a str,
    deleted: usize,
}

pub(crate) fn run(args: &RmArgs) -> Result<(), ClientError> {
    if args.path == "/" {
        return Err(ClientError::Root);
    }
    with_session(&args.server, &args.path, async |session, out| {
        let path = &args.path;
        let deleted = if args.recursive {
            tree(session, path).await?
        } else {
            session.ask(session.client.delete(path, expected(args.version))).await?;
            1
        };
        if out.json { out.print(&Deleted { path, deleted }, "") } else { Ok(()) }
    })
}

/// Deletes a tree, and what others add to it meanwhile. Returns the number of nodes.
async fn tree(session: &Session, top: &str) -> Result<usize, ClientError> {
    let mut deleted = 0;
    session.catch_up().await?;
    for _ in 0..ROUNDS {
        // By depth: nodes of one depth can go at the same time.
        let mut levels: Vec<Vec<String>> = Vec::new();
        walk(session, top, |found| {
            levels.resize_with(levels.len().max(found.depth + 1), Vec::new);
            levels[found.depth].push(found.path.clone());
            Ok(())
        })
        .await?;
        let mut is_filled = false;
        for path in levels.iter().rev().flat_map(|level| level.chunks(AT_A_TIME)) {
            let delete = |path| session.ask(session.client.delete(path, Expected::Any));
            for answer in join_all(path.iter().map(|path| delete(path))).await {
                match answer.as_ref().map_err(ClientError::code) {
                    Ok(()) => deleted += 1,
                    Err(Some(ErrorCode::NO_NODE)) => {}
                    Err(Some(ErrorCode::NOT_EMPTY)) => is_filled = true,
                    Err(_) => return answer.map(|()| deleted),
                }
            }
        }
        if !is_filled {
            return Ok(deleted);
        }
    }
    Err(ClientError::StillFilled { path: top.to_owned(), rounds: ROUNDS })
}
