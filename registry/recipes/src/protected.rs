//! Calls that outlive bad days: reads that are repeated, and creates that make one node although a reply is lost.

use bytes::Bytes;
use common::Millis;
use zk_client::{Client, CreateMode, Error, ErrorCode, Expected, SessionId, Watch, WatchLost};
use zk_wire::path;

use crate::guid::Guid;
use crate::node::Node;
use crate::patience::Patience;

/// Repeats a call that is safe to repeat until the servers answer it; gives up when they refuse it or the client is closed.
pub(crate) async fn again<T, F: Future<Output = Result<T, Error>>>(
    client: &Client,
    mut call: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut patience = Patience::new(fastrand::u64(..));
    loop {
        match call().await {
            Err(error) if error.is_retryable() => pause(client, patience.pause()).await,
            done => return done,
        }
    }
}

/// Deletes a node; one that is gone already is no error.
pub(crate) async fn delete(client: &Client, path: &str) -> Result<(), Error> {
    match client.delete(path, Expected::Any).await {
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(()),
        deleted => deleted,
    }
}

/// Deletes an ephemeral node of ours. Ends with the session that owns it: afterwards another client's node may have the name.
pub(crate) async fn delete_owned(client: &Client, path: &str, owner: SessionId) -> Result<(), Error> {
    again(client, async || delete_if_owned(client, path, owner).await).await
}

/// Deletes an ephemeral node of ours like [`delete_owned`], in a task. That does not keep the client open, whose end deletes it, too.
pub(crate) fn delete_in_background(client: &Client, path: &str, owner: SessionId) {
    let (weak, clock, path) = (client.downgrade(), client.clock(), path.to_owned());
    client.spawn(async move {
        let mut patience = Patience::new(fastrand::u64(..));
        while let Some(client) = weak.upgrade() {
            match delete_if_owned(&client, &path, owner).await {
                Err(error) if error.is_retryable() => {}
                _ => return,
            }
            drop(client);
            clock.sleep_until(Some(clock.now() + patience.pause())).await;
        }
    });
}

async fn delete_if_owned(client: &Client, path: &str, owner: SessionId) -> Result<(), Error> {
    match session(client) == owner {
        true => delete(client, path).await,
        false => Ok(()),
    }
}

/// Makes something in a task, which goes on if this future is dropped. What it has made is dropped then, too: so what undoes itself
/// when it is dropped leaves nothing behind, although a request that was sent cannot be taken back.
pub(crate) async fn to_its_end<T: Send + 'static>(
    client: &Client,
    path: &str,
    making: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let closed = |_| Error::Closed { op: "create", path: path.to_owned(), sent: true };
    // It fails only if the runtime ends.
    client.spawn(making).await.map_err(closed)?
}

/// Returns the client's session; [`SessionId::NONE`] while it has none.
pub(crate) fn session(client: &Client) -> SessionId {
    client.credentials().map_or(SessionId::NONE, |credentials| credentials.id)
}

/// Waits until a one-shot watch fires, or its session expires: a reason to look again either way.
pub(crate) async fn fired(mut watch: Watch, path: &str) -> Result<(), Error> {
    match watch.changed().await {
        Err(WatchLost::Closed) => Err(Error::Closed { op: "watch", path: path.to_owned(), sent: false }),
        _ => Ok(()),
    }
}

/// Creates a sequential node below `parent`, which is made if it is missing. The name is a GUID and `rest`, as Curator protects it,
/// and a node whose reply was lost is found by it. Dropping the future may leave the node.
pub(crate) async fn create(
    client: &Client,
    parent: &str,
    rest: &str,
    data: Bytes,
    mode: CreateMode,
) -> Result<Node, Error> {
    let mut patience = Patience::new(fastrand::u64(..));
    loop {
        let session = session(client);
        let name = Guid::new(session, fastrand::u64(..)).curator(rest);
        let error = match client.create(&path::join(parent, &name), data.clone(), mode).await {
            Ok(created) => {
                let (owner, zxid) = (created.stat.ephemeral_owner, created.stat.czxid);
                return Ok(Node { path: created.path, owner, created: zxid });
            }
            Err(error) => error,
        };
        if error.may_have_been_applied() {
            let found = again(client, async || find(client, parent, &name).await).await?;
            // A node of an expired session of ours goes with that session.
            let lives = |node: &Node| {
                let current = client.credentials().map(|credentials| credentials.id);
                node.owner == SessionId::NONE || Some(node.owner) == current
            };
            if let Some(node) = found.filter(lives) {
                return Ok(node);
            }
        } else if error.code() == Some(ErrorCode::NO_NODE) {
            again(client, async || client.ensure_path(parent).await).await?;
        } else if !error.is_retryable() {
            return Err(error);
        }
        pause(client, patience.pause()).await;
    }
}

/// Returns the node below `parent` whose name begins with `name`.
pub(crate) async fn find(client: &Client, parent: &str, name: &str) -> Result<Option<Node>, Error> {
    // The present server may not have seen yet what the last one did for us.
    client.sync(parent).await?;
    let children = match client.children(parent).await {
        Ok((children, _)) => children,
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(child) = children.iter().find(|child| child.starts_with(name)) else { return Ok(None) };
    let path = path::join(parent, child);
    let stat = client.exists(&path).await?;
    Ok(stat.map(|stat| Node { path, owner: stat.ephemeral_owner, created: stat.czxid }))
}

/// Waits for a time by the client's clock.
pub(crate) async fn pause(client: &Client, time: Millis) {
    let clock = client.clock();
    clock.sleep_until(Some(clock.now() + time)).await;
}
