//! A barrier through which a number of members goes together, in and out.

use bytes::Bytes;
use zk_client::{
    Client, CreateMode, Error as ClientError, ErrorCode, EventType, Expected, Version, Watch, Zxid,
};
use zk_wire::path;

use crate::error::Error;
use crate::node::Node;
use crate::protected::{again, create, delete, delete_in_background, fired, open, session, to_its_end};

/// Name of the recipe in errors.
const RECIPE: &str = "double barrier";

/// Name of the node that says that the barrier is open.
const READY: &str = "ready";

/// Barrier that lets members in when enough have come, and out when all are done, as kazoo's `DoubleBarrier` and Curator's
/// `DistributedDoubleBarrier` do. The number is a threshold and no limit: who comes while members are inside goes in at once.
///
/// Each member has an ephemeral node, so one that dies counts as done. The node `ready` is made by the last to come and removed
/// with the node of the last to leave; one that a crash has left from earlier is recognised by its age and removed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use zk_recipes::DoubleBarrier;
///
/// let barrier = DoubleBarrier::new(&client, "/jobs/7", 2);
/// let (one, other) = tokio::try_join!(barrier.enter(), barrier.enter())?;
/// // Both work now.
/// tokio::try_join!(one.leave(), other.leave())?;
/// assert_eq!(client.children("/jobs/7").await?.0.len(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DoubleBarrier {
    client: Client,
    path: String,
    members: usize,
}

/// Member inside a [`DoubleBarrier`]. Dropping it leaves without waiting for the others, in the background.
#[derive(Debug)]
#[must_use = "a member that is dropped leaves at once"]
pub struct BarrierMember {
    barrier: DoubleBarrier,
    node: Node,
    is_gone: bool,
}

impl DoubleBarrier {
    /// Names a barrier by the path of its node, for this number of members. Nothing is sent.
    #[must_use]
    pub fn new(client: &Client, path: &str, members: usize) -> Self {
        Self { client: client.clone(), path: path.to_owned(), members }
    }

    /// Enters: waits until enough members have come. Outlives lost connections; after an expired session it comes again. Dropping
    /// the future steps back, in the background.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse it, or the client is closed.
    pub async fn enter(&self) -> Result<BarrierMember, Error> {
        let mut waiting: Option<BarrierMember> = None;
        let ready = self.join(READY);
        loop {
            // Watched before the member comes: members of kazoo remove `ready` when they leave, which may be at once.
            let (stat, mut watch) = self.ask(|| self.client.exists_and_watch(&ready)).await?;
            let present = waiting.take().filter(|member| member.node.owner == session(&self.client));
            let has_come = present.is_none();
            let member = match present {
                Some(member) => member,
                None => self.come().await?,
            };
            if !has_come || !has_fired(&mut watch).await {
                let members = self.members_present().await?;
                if !members.contains(&member.node.path) {
                    // Its session has expired, or somebody deleted it.
                    continue;
                }
                match stat {
                    Some(stat) if member.node.created < stat.czxid => return Ok(member),
                    Some(stat) if self.has_member_before(stat.czxid, &members).await? => return Ok(member),
                    Some(stat) => self.remove_old(&ready, stat.czxid).await?,
                    None if members.len() >= self.members => {
                        self.open(&ready).await?;
                        return Ok(member);
                    }
                    None => match watch.changed().await {
                        Ok(event) if event.event == EventType::NODE_CREATED => return Ok(member),
                        _ => self.fired(watch).await?,
                    },
                }
            }
            waiting = Some(member);
        }
    }

    /// Creates the node of a member.
    async fn come(&self) -> Result<BarrierMember, Error> {
        let (client, path, members) = (self.client.downgrade(), self.path.clone(), self.members);
        let coming = async move {
            let mode = CreateMode::EphemeralSequential;
            let node = create(&client, &path, "member-", Bytes::new(), mode).await?;
            let barrier = Self { client: open(&client, &path)?, path, members };
            Ok(BarrierMember { barrier, node, is_gone: false })
        };
        to_its_end(&self.client, &self.path, coming).await.map_err(Error::of(RECIPE, &self.path))
    }

    /// Opens the barrier, if it is not open.
    async fn open(&self, ready: &str) -> Result<(), Error> {
        let create = || async {
            match self.client.create(ready, "", CreateMode::Persistent).await {
                Err(error) if error.code() == Some(ErrorCode::NODE_EXISTS) => Ok(()),
                created => created.map(|_| ()),
            }
        };
        self.ask(create).await
    }

    /// Removes a `ready` that is left from earlier, and no other: the next one may have been made meanwhile, and who has not seen that
    /// would wait for ever. A new node has version 0, so the old one is written to first, and then deleted in no version but its own. Who
    /// writes to any `ready` writes to the barrier's node as well, whose version tells if the next one was written to meanwhile.
    async fn remove_old(&self, ready: &str, old: Zxid) -> Result<(), Error> {
        let remove = || async {
            loop {
                let (data, barrier) = self.client.get(&self.path).await?;
                // After that look, so that the next one is not taken for the old one.
                let Some(stat) = self.client.exists(ready).await?.filter(|stat| stat.czxid == old) else {
                    return Ok(());
                };
                let is_marked = stat.version != Version(0);
                let both =
                    self.client.transaction().set(&self.path, data, Expected::Exactly(barrier.version));
                let seen = Expected::Exactly(stat.version);
                let both = if is_marked { both.delete(ready, seen) } else { both.set(ready, "", seen) };
                match both.commit().await {
                    Ok(_) if !is_marked => {}
                    Err(error)
                        if !matches!(error.code(), Some(ErrorCode::NO_NODE | ErrorCode::BAD_VERSION)) =>
                    {
                        return Err(error);
                    }
                    _ => return Ok(()),
                }
            }
        };
        self.ask(remove).await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        self.ask(|| delete(&self.client, path)).await
    }

    /// Returns the nodes of all members, in order.
    async fn members_present(&self) -> Result<Vec<String>, Error> {
        let list = || async {
            match self.client.children(&self.path).await {
                Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(Vec::new()),
                children => children.map(|(names, _)| names),
            }
        };
        let mut names = self.ask(list).await?;
        names.retain(|name| name != READY);
        names.sort_unstable();
        Ok(names.iter().map(|name| self.join(name)).collect())
    }

    /// Returns true if a member is there that came before the barrier was opened: it is inside, and the barrier is not left from
    /// earlier.
    async fn has_member_before(&self, opened: Zxid, members: &[String]) -> Result<bool, Error> {
        for member in members {
            let stat = self.ask(|| self.client.exists(member)).await?;
            if stat.is_some_and(|stat| stat.czxid < opened) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Asks the servers until they answer.
    async fn ask<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        call: impl FnMut() -> F,
    ) -> Result<T, Error> {
        again(&self.client, call).await.map_err(Error::of(RECIPE, &self.path))
    }

    /// Waits until a watch fires or its session expires.
    async fn fired(&self, watch: Watch) -> Result<(), Error> {
        fired(watch, &self.path).await.map_err(Error::of(RECIPE, &self.path))
    }

    fn join(&self, name: &str) -> String {
        path::join(&self.path, name)
    }
}

impl BarrierMember {
    /// Leaves: waits until all members are done or dead. Outlives lost connections and expired sessions.
    ///
    /// # Errors
    /// [`Error::MemberLost`] if this member's session expired inside, or its node was deleted: the others may have left before; it is
    /// returned when all have left. Else an error of the client.
    pub async fn leave(mut self) -> Result<(), Error> {
        let barrier = self.barrier.clone();
        let node = self.node.clone();
        // As in kazoo, the first in the order of names stays until all others have gone.
        let mut is_lost = false;
        loop {
            let members = barrier.members_present().await?;
            let is_present = members.contains(&node.path);
            is_lost |= !self.is_gone && !is_present;
            self.is_gone |= !is_present;
            match members.as_slice() {
                [] => break,
                [only] if *only == node.path => {
                    barrier.go_last(&node).await?;
                    self.is_gone = true;
                }
                [first, .., last] if *first == node.path => barrier.until_gone(last).await?,
                [first, ..] => {
                    if !self.is_gone {
                        barrier.delete(&node.path).await?;
                        self.is_gone = true;
                    }
                    let others = members.iter().filter(|member| **member != node.path).count();
                    if others == 1 && !barrier.is_ours(first) {
                        // kazoo takes `ready` for a member, and waits for its end.
                        barrier.delete(&barrier.join(READY)).await?;
                    }
                    barrier.until_gone(first).await?;
                }
            }
        }
        if is_lost { Err(Error::MemberLost { path: barrier.path }) } else { Ok(()) }
    }
}

impl DoubleBarrier {
    /// Removes the node of the last member together with `ready`, so that who comes meanwhile finds both or none.
    async fn go_last(&self, node: &Node) -> Result<(), Error> {
        let ready = self.join(READY);
        let both = || async {
            let both = self.client.transaction().delete(&node.path, Expected::Any);
            match both.delete(&ready, Expected::Any).commit().await {
                // One of them has gone: `ready` by a member of kazoo, or both by a call whose reply was lost.
                Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {
                    delete(&self.client, &node.path).await
                }
                done => done.map(|_| ()),
            }
        };
        self.ask(both).await
    }

    /// Returns true for a member that has come by this library.
    fn is_ours(&self, member: &str) -> bool {
        member.starts_with(&self.join("_c_"))
    }

    /// Waits until a member has gone.
    async fn until_gone(&self, member: &str) -> Result<(), Error> {
        let (stat, watch) = self.ask(|| self.client.exists_and_watch(member)).await?;
        if stat.is_some() { self.fired(watch).await } else { Ok(()) }
    }
}

impl Drop for BarrierMember {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        delete_in_background(&self.barrier.client, &self.node.path, self.node.owner);
    }
}

/// Returns true if a watch has fired, without waiting.
async fn has_fired(watch: &mut Watch) -> bool {
    tokio::select! {
        biased;
        _ = watch.changed() => true,
        () = std::future::ready(()) => false,
    }
}
