//! Calls that outlive bad days: reads that are repeated, and creates that make one node although a reply is lost.

use bytes::Bytes;
use common::Millis;
use zk_client::{Client, CreateMode, Error, ErrorCode, Expected, SessionId, Watch, WatchLost, WeakClient};
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
    let (weak, path) = (client.downgrade(), path.to_owned());
    client.spawn(async move {
        let mut patience = Patience::new(fastrand::u64(..));
        while let Some(client) = weak.upgrade() {
            match delete_if_owned(&client, &path, owner).await {
                Err(error) if error.is_retryable() => {}
                _ => return,
            }
            pause_without(client, patience.pause()).await;
        }
    });
}

async fn delete_if_owned(client: &Client, path: &str, owner: SessionId) -> Result<(), Error> {
    match delete(&client.in_session(owner), path).await {
        // The node has gone with the session.
        Err(Error::SessionExpired { .. }) => Ok(()),
        deleted => deleted,
    }
}

/// Makes something in a task, which goes on if this future is dropped. What it has made is dropped then, too: so what undoes itself
/// when it is dropped leaves nothing behind, although a request that was sent cannot be taken back. The making should not keep the
/// client open.
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
/// and a node whose reply was lost is found by it. Dropping the future may leave the node. Does not keep the client open.
pub(crate) async fn create(
    client: &WeakClient,
    parent: &str,
    rest: &str,
    data: Bytes,
    mode: CreateMode,
) -> Result<Node, Error> {
    let mut patience = Patience::new(fastrand::u64(..));
    let mut unanswered = None;
    loop {
        let client = open(client, parent)?;
        match try_to_create(&client, parent, rest, &data, mode, &mut unanswered).await {
            Ok(Some(node)) => return Ok(node),
            Err(error) if !error.is_retryable() => return Err(error),
            _ => pause_without(client, patience.pause()).await,
        }
    }
}

/// Creates such a node, or finds the one of this name whose reply was lost; `None` if another attempt may do it.
async fn try_to_create(
    client: &Client,
    parent: &str,
    rest: &str,
    data: &Bytes,
    mode: CreateMode,
    unanswered: &mut Option<String>,
) -> Result<Option<Node>, Error> {
    if let Some(name) = unanswered {
        let found = find(client, parent, name).await?;
        *unanswered = None;
        // A node of an expired session of ours goes with that session.
        let lives = |node: &Node| node.owner == SessionId::NONE || node.owner == session(client);
        if let Some(node) = found.filter(lives) {
            return Ok(Some(node));
        }
    }
    let name = Guid::new(session(client), fastrand::u64(..)).curator(rest);
    match client.create(&path::join(parent, &name), data.clone(), mode).await {
        Ok(created) => {
            let (owner, zxid) = (created.stat.ephemeral_owner, created.stat.czxid);
            Ok(Some(Node { path: created.path, owner, created: zxid }))
        }
        Err(error) if error.may_have_been_applied() => {
            *unanswered = Some(name);
            Ok(None)
        }
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {
            client.ensure_path(parent).await.map(|()| None)
        }
        Err(error) => Err(error),
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

/// Returns the client for one attempt of a task that does not keep it open.
///
/// # Errors
/// The last handle was dropped.
pub(crate) fn open(client: &WeakClient, path: &str) -> Result<Client, Error> {
    client.upgrade().ok_or_else(|| Error::Closed { op: "create", path: path.to_owned(), sent: true })
}

/// Waits for a time by the client's clock, without the client.
pub(crate) async fn pause_without(client: Client, time: Millis) {
    let clock = client.clock();
    drop(client);
    clock.sleep_until(Some(clock.now() + time)).await;
}

/// Waits for a time by the client's clock.
pub(crate) async fn pause(client: &Client, time: Millis) {
    let clock = client.clock();
    clock.sleep_until(Some(clock.now() + time)).await;
}
