//! The leader, for those that do not stand.

use zk_client::{Client, Error as ClientError, ErrorCode, Watch};
use zk_wire::path;

use crate::contender::{Seat, in_order};
use crate::error::Error;
use crate::protected::again;

/// Follows who leads; see [`Election::watch`](crate::Election::watch).
///
/// It watches the leader's node alone, so candidates that come and go cost nothing. Of several leaders in quick succession only
/// the last may be seen.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use zk_recipes::Election;
///
/// let election = Election::new(&client, "/election").identity("ada");
/// let mut watch = election.watch();
/// assert_eq!(watch.changed().await?, None);
/// let _candidate = election.stand();
/// assert_eq!(watch.changed().await?.as_deref(), Some("ada"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LeaderWatch {
    seat: Seat,
    /// The leader that was returned last.
    seen: Option<Option<Leader>>,
    watch: Option<Watch>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Leader {
    node: String,
    identity: String,
}

impl LeaderWatch {
    pub(crate) fn new(seat: Seat) -> Self {
        Self { seat, seen: None, watch: None }
    }

    /// Returns the identity of the leader, `None` if there is no candidate: at the first call at once, later when it is another one.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Client`] if the servers refuse to tell, or the client is closed.
    pub async fn changed(&mut self) -> Result<Option<String>, Error> {
        let Seat { client, recipe, path, .. } = &self.seat;
        loop {
            if let Some(watch) = &mut self.watch {
                // A watch that is lost tells as little as one that fires: only a look does.
                let _ = watch.changed().await;
                self.watch = None;
            }
            let (leader, watch) =
                again(client, async || look(client, path).await).await.map_err(Error::of(recipe, path))?;
            self.watch = Some(watch);
            if self.seen.as_ref() != Some(&leader) {
                self.seen = Some(leader.clone());
                return Ok(leader.map(|leader| leader.identity));
            }
        }
    }
}

/// Returns the identity of the leader.
pub(crate) async fn read(seat: &Seat) -> Result<Option<String>, Error> {
    let Seat { client, recipe, path, .. } = seat;
    let read = again(client, async || {
        while let Some(first) = first(client, path).await? {
            if let Some((data, _)) = unless_gone(client.get(&first).await)? {
                return Ok(Some(identity(&data)));
            }
        }
        Ok(None)
    });
    read.await.map_err(Error::of(recipe, path))
}

/// Returns the leader, and a watch for its end, or for the beginning of one.
async fn look(client: &Client, path: &str) -> Result<(Option<Leader>, Watch), ClientError> {
    loop {
        if let Some(node) = first(client, path).await? {
            if let Some((data, _, watch)) = unless_gone(client.get_and_watch(&node).await)? {
                return Ok((Some(Leader { node, identity: identity(&data) }), watch));
            }
            continue;
        }
        // The list is watched while nobody leads, and only then.
        if let Some((names, _, watch)) = unless_gone(client.children_and_watch(path).await)? {
            if in_order(names).is_empty() {
                return Ok((None, watch));
            }
        } else if let (None, watch) = client.exists_and_watch(path).await? {
            return Ok((None, watch));
        }
    }
}

/// Returns the path of the node that is first in the queue.
async fn first(client: &Client, path: &str) -> Result<Option<String>, ClientError> {
    let listed = unless_gone(client.children(path).await)?;
    let names = listed.map_or_else(Vec::new, |(names, _)| in_order(names));
    Ok(names.first().map(|name| path::join(path, name)))
}

fn unless_gone<T>(read: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match read {
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(None),
        read => read.map(Some),
    }
}

fn identity(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}
