//! A walk through a node and all nodes below it: parents first, siblings by name.

use futures_util::future::join_all;
use zk_client::{ErrorCode, Stat};
use zk_wire::path;

use super::error::ClientError;
use super::session::Session;

/// Maximum number of questions under way at a time.
pub(crate) const AT_A_TIME: usize = 64;

/// Node on the walk.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: String,
    /// Number of steps below the first node.
    pub(crate) depth: usize,
    /// True for the last of its siblings.
    pub(crate) is_last: bool,
    /// `None` if its ACL hides its children.
    pub(crate) stat: Option<Stat>,
    children: Vec<String>,
}

#[cfg(test)]
impl Found {
    /// Makes a node for tests of what is printed of it.
    pub(crate) fn new(path: &str, depth: usize, is_last: bool) -> Self {
        Self { path: path.to_owned(), depth, is_last, stat: None, children: Vec::new() }
    }
}

/// Visits the node and all nodes below it. Nodes that go meanwhile are left out. Returns the number of nodes whose ACL
/// hides their children.
pub(crate) async fn walk(
    session: &Session,
    top: &str,
    mut visit: impl FnMut(&Found) -> Result<(), ClientError>,
) -> Result<usize, ClientError> {
    let (children, stat) = session.read(|| session.client.children(top)).await?;
    let first = Found { path: top.to_owned(), depth: 0, is_last: true, stat: Some(stat), children };
    // The next node is on top; its siblings wait below it.
    let mut ahead = vec![first];
    let mut hidden = 0;
    while let Some(mut found) = ahead.pop() {
        hidden += usize::from(found.stat.is_none());
        visit(&found)?;
        let mut names = std::mem::take(&mut found.children);
        names.sort_unstable();
        let paths: Vec<String> = names.iter().map(|name| path::join(&found.path, name)).collect();
        let mut below = Vec::with_capacity(paths.len());
        for some in paths.chunks(AT_A_TIME) {
            let ask = |path| async move { session.read(|| session.client.children(path)).await };
            for (path, answer) in some.iter().zip(join_all(some.iter().map(|path| ask(path.as_str()))).await)
            {
                let (children, stat) = match answer {
                    Ok((children, stat)) => (children, Some(stat)),
                    Err(error) => match error.code() {
                        Some(ErrorCode::NO_NODE) => continue,
                        Some(ErrorCode::NO_AUTH) => (Vec::new(), None),
                        _ => return Err(error),
                    },
                };
                let (path, depth) = (path.clone(), found.depth + 1);
                below.push(Found { path, depth, is_last: false, stat, children });
            }
        }
        if let Some(last) = below.last_mut() {
            last.is_last = true;
        }
        ahead.extend(below.into_iter().rev());
    }
    Ok(hidden)
}
