//! `zk-mini ls`: the nodes below a node.

use std::fmt::Display;

use clap::Args;
use futures_util::future::join_all;
use serde::Serialize;
use zk_client::Stat;
use zk_wire::path;

use super::error::{ClientError, STATUSES};
use super::node::{Columns, StatFields, name};
use super::output::{Json, Output, Visible, note};
use super::session::{ServerArgs, Session, with_session};
use super::walk::{AT_A_TIME, Found, walk};

/// List the nodes below a node
///
/// Prints their names, sorted, one on each line. With -r prints the node and all
/// nodes below it: as a tree on a terminal, else one full path on each line, as
/// for grep and xargs. With -l a line begins with the kind of the node, its
/// version, the size of its data, the number of its children, and the time at
/// which its data was last set (UTC).
///
/// JSON: {"path","name","stat","children":[…]}. A child has path and name, with -l
/// or -r also its stat, with -r also its children.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct LsArgs {
    /// The node
    #[arg(default_value = "/")]
    path: String,

    /// All nodes below, not only the children
    #[arg(long, short)]
    recursive: bool,

    /// Kind, version, size, number of children and time of each node
    #[arg(long, short)]
    long: bool,

    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &LsArgs) -> Result<(), ClientError> {
    with_session(&args.server, &args.path, async |session, out| {
        session.catch_up().await?;
        if args.recursive { everything(args, session, out).await } else { children(args, session, out).await }
    })
}

/// Node in JSON, without its children.
#[derive(Serialize)]
struct Head<'a> {
    path: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stat: Option<StatFields>,
}

impl<'a> Head<'a> {
    fn new(path: &'a str, stat: Option<&Stat>) -> Self {
        Self { path, name: name(path), stat: stat.map(StatFields::from) }
    }
}

#[derive(Serialize)]
struct Listing<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    children: Vec<Head<'a>>,
}

async fn children(args: &LsArgs, session: &Session, out: &mut Output) -> Result<(), ClientError> {
    let (mut names, stat) = session.read(|| session.client.children(&args.path)).await?;
    names.sort_unstable();
    let paths: Vec<String> = names.iter().map(|name| path::join(&args.path, name)).collect();
    let mut nodes: Vec<(&str, Option<Stat>)> = Vec::with_capacity(paths.len());
    for some in paths.chunks(AT_A_TIME) {
        if args.long {
            let ask = |path| async move { session.read(|| session.client.exists(path)).await };
            for (path, stat) in some.iter().zip(join_all(some.iter().map(|path| ask(path.as_str()))).await) {
                // A node that has gone meanwhile is left out.
                nodes.extend(stat?.map(|stat| (path.as_str(), Some(stat))));
            }
        } else {
            nodes.extend(some.iter().map(|path| (path.as_str(), None)));
        }
    }
    if out.json {
        let children = nodes.iter().map(|(path, stat)| Head::new(path, stat.as_ref())).collect();
        return out.line(Json(Listing { head: Head::new(&args.path, Some(&stat)), children }));
    }
    for (path, stat) in &nodes {
        if args.long {
            out.part(Columns(stat.as_ref()))?;
        }
        out.line(Visible(name(path)))?;
    }
    Ok(())
}

async fn everything(args: &LsArgs, session: &Session, out: &mut Output) -> Result<(), ClientError> {
    let hidden = if out.json {
        let mut tree = JsonTree::default();
        let hidden = walk(session, &args.path, |found| out.part(tree.next(found))).await?;
        out.line(tree.end())?;
        hidden
    } else {
        let mut branches = Branches { is_drawn: out.is_terminal(), last: Vec::new() };
        let line = |found: &Found| {
            if args.long {
                out.part(Columns(found.stat.as_ref()))?;
            }
            if found.stat.is_none() {
                note(format_args!("{}: its ACL hides its children", Visible(&found.path)));
            }
            out.line(branches.next(found))
        };
        walk(session, &args.path, line).await?
    };
    if hidden > 0 { Err(ClientError::Hidden(hidden)) } else { Ok(()) }
}

/// Writer of the tree in JSON, node by node: it may be larger than the memory, and deeper than a stack.
#[derive(Default)]
struct JsonTree {
    open: usize,
}

impl JsonTree {
    /// Returns the text for the next node. It leaves the list of the node's children open.
    fn next(&mut self, found: &Found) -> String {
        let mut text = "]}".repeat(self.open - found.depth.min(self.open));
        if self.open > found.depth {
            text.push(',');
        }
        let head = Json(Head::new(&found.path, found.stat.as_ref())).to_string();
        text.push_str(head.strip_suffix('}').unwrap_or(&head));
        text.push_str(",\"children\":[");
        self.open = found.depth + 1;
        text
    }

    fn end(self) -> String {
        "]}".repeat(self.open)
    }
}

/// Writer of the tree for people; or of full paths.
struct Branches {
    is_drawn: bool,
    /// True for each node above that is the last of its siblings.
    last: Vec<bool>,
}

impl Branches {
    fn next(&mut self, found: &Found) -> impl Display {
        self.last.truncate(found.depth);
        let mut line = String::new();
        if self.is_drawn && found.depth > 0 {
            for is_last in &self.last[1..] {
                line.push_str(if *is_last { "    " } else { "│   " });
            }
            line.push_str(if found.is_last { "└── " } else { "├── " });
            line.push_str(&Visible(name(&found.path)).to_string());
        } else {
            line.push_str(&Visible(&found.path).to_string());
        }
        self.last.push(found.is_last);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Vec<Found> {
        let nodes =
            [("/", 0, true), ("/a", 1, false), ("/a/b", 2, false), ("/a/b/c", 3, true), ("/a/d", 2, true)];
        let nodes = nodes.into_iter().chain([("/e", 1, true), ("/e/f", 2, true)]);
        nodes.map(|(path, depth, is_last)| Found::new(path, depth, is_last)).collect()
    }

    #[test]
    fn a_tree_has_branches() {
        let mut branches = Branches { is_drawn: true, last: Vec::new() };
        let lines: Vec<String> = tree().iter().map(|found| branches.next(found).to_string()).collect();
        assert_eq!(lines, ["/", "├── a", "│   ├── b", "│   │   └── c", "│   └── d", "└── e", "    └── f"]);
    }

    #[test]
    fn a_tree_in_json_is_one_value() {
        let mut tree_text = JsonTree::default();
        let mut text: String = tree().iter().map(|found| tree_text.next(found)).collect();
        text.push_str(&tree_text.end());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["children"][0]["children"][0]["children"][0]["path"], "/a/b/c", "{text}");
        assert_eq!(value["children"][0]["children"][1]["name"], "d", "{text}");
        assert_eq!(value["children"][1]["children"][0]["children"], serde_json::json!([]), "{text}");
    }
}
