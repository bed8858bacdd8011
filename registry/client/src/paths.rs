//! Operations on several nodes: a path, a tree.

use bytes::Bytes;
use zk_wire::{Acl, Create2, Delete, ErrorCode, Exists, Expected, path};

use crate::call::op_name;
use crate::client::Client;
use crate::create_mode::CreateMode;
use crate::error::Error;

impl Client {
    /// Creates the node and its missing parents, including the chroot: persistent, empty and open to all clients. Existing
    /// nodes stay as they are.
    ///
    /// # Errors
    /// The same as of [`Self::ensure_path_with`].
    pub async fn ensure_path(&self, path: &str) -> Result<(), Error> {
        self.ensure_path_with(path, CreateMode::Persistent, &[Acl::open()]).await
    }

    /// Creates the node and its missing parents, including the chroot: empty, all with this mode and this ACL. Existing nodes
    /// stay as they are. With [`CreateMode::Container`] the servers delete them some time after their last children.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `NO_AUTH` and `INVALID_ACL`, and `BAD_ARGUMENTS` for a mode that is ephemeral
    /// or sequential. It is safe to call again after any error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// use zk_client::{Acl, CreateMode};
    ///
    /// client.ensure_path_with("/locks/orders", CreateMode::Container, &[Acl::open()]).await?;
    /// client.create("/locks/orders/lock-", "", CreateMode::EphemeralSequential).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ensure_path_with(&self, path: &str, mode: CreateMode, acl: &[Acl]) -> Result<(), Error> {
        if mode.is_ephemeral() || mode.is_sequential() {
            let (op, code) = (op_name::<Create2>(), ErrorCode::BAD_ARGUMENTS);
            return Err(Error::Server { op, path: path.to_owned(), code });
        }
        let full = self.full::<Create2>(path)?;
        // Up from the leaf to the first node that exists or can be created, then down again.
        let mut missing: Vec<&str> = vec![&full];
        while let Some(&node) = missing.last() {
            if node == "/" {
                return Ok(());
            }
            let Err(error) = self.create_full(path, mode.request(node.into(), Bytes::new(), acl)).await
            else {
                missing.pop();
                continue;
            };
            match (error.code(), path::split(node)) {
                (Some(ErrorCode::NO_NODE), Some((parent, _))) => missing.push(parent),
                (Some(ErrorCode::NODE_EXISTS), _) => drop(missing.pop()),
                // Servers look at the permission first: the node may be there.
                (Some(ErrorCode::NO_AUTH), _) => {
                    let request = Exists { path: node.into(), watch: false };
                    match self.call(path, request).await {
                        Ok(_) => drop(missing.pop()),
                        Err(unknown) if unknown.code().is_none() => return Err(unknown),
                        Err(_) => return Err(error),
                    }
                }
                _ => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes the node and all nodes below it, one after the other, whatever their versions are.
    ///
    /// It is no transaction: others see a part of the tree meanwhile, and what they create in it is deleted, too. After an error some
    /// nodes are gone, and it is safe to call again.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `NO_NODE`, if the node was not there at first, and `NO_AUTH`. `BAD_ARGUMENTS` for
    /// `/`, also with a chroot; nothing is deleted then.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// client.ensure_path("/app/db/host").await?;
    /// client.delete_recursive("/app").await?;
    /// assert!(client.exists("/app").await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn delete_recursive(&self, path: &str) -> Result<(), Error> {
        if path == "/" {
            let (op, code) = (op_name::<Delete>(), ErrorCode::BAD_ARGUMENTS);
            return Err(Error::Server { op, path: path.to_owned(), code });
        }
        let mut was_there = false;
        // Down from the node to those without children, then up again.
        let mut doomed = vec![path.to_owned()];
        while let Some(node) = doomed.last() {
            let error = match self.delete(node, Expected::Any).await {
                Ok(()) => {
                    doomed.pop();
                    continue;
                }
                Err(error) => error,
            };
            match error.code() {
                Some(ErrorCode::NOT_EMPTY) => {
                    was_there = true;
                    match self.children(node).await {
                        Ok((names, _)) => {
                            let below: Vec<_> = names.iter().map(|name| path::join(node, name)).collect();
                            doomed.extend(below);
                        }
                        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {}
                        Err(error) => return Err(error),
                    }
                }
                // Somebody else has deleted it.
                Some(ErrorCode::NO_NODE) if was_there => drop(doomed.pop()),
                _ => return Err(error),
            }
        }
        Ok(())
    }
}
