//! Transactions: several writes, all or none.

use bytes::Bytes;
use zk_wire::path::PathError;
use zk_wire::{
    Acl, ByteString, Check, DecodeError, Delete, ErrorCode, Expected, Multi, MultiOp, MultiResult, SetData,
    Stat,
};

use crate::client::Client;
use crate::create_mode::CreateMode;
use crate::error::Error;

/// Collects writes that are made together, all or none; see [`Client::transaction`].
#[derive(Debug)]
#[must_use = "nothing is sent before `commit`"]
pub struct Transaction {
    client: Client,
    ops: Vec<MultiOp>,
    /// Name and path of each operation, as the caller wrote them.
    names: Vec<(&'static str, String)>,
    invalid: Option<Error>,
}

/// Result of one operation of a [`Transaction`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpResult {
    /// Created this node; the path has the counter of a sequential one. There is no `Stat`: the operation that would return it
    /// is lost when a server of version 3.8 reads its log again.
    Created(String),
    /// Set the data; this is the new `Stat`.
    Set(Stat),
    /// Deleted the node.
    Deleted,
    /// Found the expected version.
    Checked,
}

impl Client {
    /// Begins a transaction: several writes, all or none. Each operation sees the earlier ones.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// use zk_client::{CreateMode, Error, ErrorCode, Expected, OpResult, Version};
    ///
    /// client.create("/queue", "", CreateMode::Persistent).await?;
    /// client.create("/done", "0", CreateMode::Persistent).await?;
    /// let results = client
    ///     .transaction()
    ///     .create("/queue/job-", "work", CreateMode::PersistentSequential)
    ///     .set("/done", "1", Expected::Exactly(Version(0)))
    ///     .commit()
    ///     .await?;
    /// assert_eq!(results[0], OpResult::Created("/queue/job-0000000000".to_owned()));
    ///
    /// let refused = client
    ///     .transaction()
    ///     .delete("/queue/job-0000000000", Expected::Any)
    ///     .check("/done", Expected::Exactly(Version(7)))
    ///     .commit()
    ///     .await;
    /// let Err(Error::Transaction { index: 1, code: ErrorCode::BAD_VERSION, .. }) = refused else {
    ///     panic!("{refused:?}");
    /// };
    /// assert!(client.exists("/queue/job-0000000000").await?.is_some(), "nothing was deleted");
    /// # Ok(())
    /// # }
    /// ```
    pub fn transaction(&self) -> Transaction {
        Transaction { client: self.clone(), ops: Vec::new(), names: Vec::new(), invalid: None }
    }
}

impl Transaction {
    /// Fails the transaction unless the node exists and has this version.
    pub fn check(self, path: &str, version: Expected) -> Self {
        let full = self.client.inner().chroot.apply(path);
        self.push("check", path, full, |path| MultiOp::Check(Check { path: Some(path), version }))
    }

    /// Creates a node that is open to all clients.
    pub fn create(self, path: &str, data: impl Into<Bytes>, mode: CreateMode) -> Self {
        self.create_with_acl(path, data, mode, &[Acl::open()])
    }

    /// Creates a node with an ACL.
    pub fn create_with_acl(self, path: &str, data: impl Into<Bytes>, mode: CreateMode, acl: &[Acl]) -> Self {
        let full = self.client.inner().chroot.apply_for_create(path, mode.is_sequential());
        self.push("create", path, full, |path| mode.request(path, data.into(), acl).into())
    }

    /// Sets a node's data.
    pub fn set(self, path: &str, data: impl Into<Bytes>, version: Expected) -> Self {
        let full = self.client.inner().chroot.apply(path);
        let data = Some(data.into());
        self.push("setData", path, full, |path| MultiOp::SetData(SetData { path: Some(path), data, version }))
    }

    /// Deletes a node without children.
    pub fn delete(self, path: &str, version: Expected) -> Self {
        let full = self.client.inner().chroot.apply(path);
        self.push("delete", path, full, |path| MultiOp::Delete(Delete { path, version }))
    }

    /// Sends the transaction. Returns the results in the order of the operations.
    ///
    /// # Errors
    /// [`Error::Transaction`] names the operation that was refused; nothing was done. [`Error::InvalidPath`] means that
    /// nothing was sent. Other [`Error`]s as of any write.
    pub async fn commit(self) -> Result<Vec<OpResult>, Error> {
        let Self { client, ops, names, invalid } = self;
        if let Some(error) = invalid {
            return Err(error);
        }
        let shown = names.first().map_or("/", |(_, path)| path);
        let results = client.inner().call(shown, &Multi { ops }).await?.results;
        if let Some((index, code)) = refused(&results)
            && let Some((op, path)) = names.get(index)
        {
            return Err(Error::Transaction { index, op, path: path.clone(), code });
        }
        let chroot = &client.inner().chroot;
        let results = results.into_iter().map(|result| match result {
            MultiResult::Create(path) | MultiResult::Create2 { path, .. } => {
                Some(OpResult::Created(chroot.strip(&path).to_owned()))
            }
            MultiResult::SetData(stat) => Some(OpResult::Set(stat)),
            MultiResult::Delete => Some(OpResult::Deleted),
            MultiResult::Check => Some(OpResult::Checked),
            MultiResult::Error(_) => None,
        });
        let results: Option<Vec<_>> = results.collect();
        match results {
            Some(results) if results.len() == names.len() => Ok(results),
            _ => Err(Error::Protocol {
                op: "multi",
                path: shown.to_owned(),
                source: DecodeError::UnexpectedType { what: "MultiResponse", op: -1 },
            }),
        }
    }

    fn push(
        mut self,
        op: &'static str,
        path: &str,
        full: Result<ByteString, PathError>,
        make: impl FnOnce(ByteString) -> MultiOp,
    ) -> Self {
        match full {
            Ok(full) => self.ops.push(make(full)),
            Err(source) => {
                self.invalid.get_or_insert(Error::InvalidPath { op, path: path.to_owned(), source });
            }
        }
        self.names.push((op, path.to_owned()));
        self
    }
}

/// Finds the operation that was refused. Servers answer `OK` for those before it and `RUNTIME_INCONSISTENCY` for those
/// after it.
fn refused(results: &[MultiResult]) -> Option<(usize, ErrorCode)> {
    let errors = || {
        results.iter().enumerate().filter_map(|(index, result)| match result {
            MultiResult::Error(code) if *code != ErrorCode::OK => Some((index, *code)),
            _ => None,
        })
    };
    errors().find(|(_, code)| *code != ErrorCode::RUNTIME_INCONSISTENCY).or_else(|| errors().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refused_operation_is_neither_before_nor_after_itself() {
        let results = |codes: &[ErrorCode]| codes.iter().copied().map(MultiResult::Error).collect::<Vec<_>>();
        let (ok, after) = (ErrorCode::OK, ErrorCode::RUNTIME_INCONSISTENCY);
        assert_eq!(refused(&results(&[ok, ErrorCode::NO_NODE, after])), Some((1, ErrorCode::NO_NODE)));
        assert_eq!(refused(&results(&[ok, after])), Some((1, after)), "a server that names no other reason");
        assert_eq!(refused(&[MultiResult::Check, MultiResult::Delete]), None);
    }
}
