//! Several writes, all or none.

use zk_wire::path::PathError;
use zk_wire::{ByteString, ErrorCode, Multi, MultiOp, MultiResult};

use crate::chroot::Chroot;
use crate::client::Client;
use crate::error::Error;

impl Client {
    /// Does several writes, all or none; each sees what the earlier ones did. The results are in the order
    /// of the operations.
    ///
    /// # Errors
    /// [`Error`]. If an operation is refused nothing is done, and the error names its path and its code.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// use zk_client::{Acl, Expected, MultiOp};
    /// use zk_wire::{Create, SetData};
    ///
    /// let path: zk_wire::ByteString = "/job".into();
    /// client
    ///     .multi(vec![
    ///         MultiOp::Create(Create { path: path.clone(), data: None, acl: Some(vec![Acl::open()]), flags: 0 }),
    ///         MultiOp::SetData(SetData { path: Some(path), data: Some("done".into()), version: Expected::Any }),
    ///     ])
    ///     .await?;
    /// assert_eq!(client.get("/job").await?.0, "done");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn multi(&self, mut ops: Vec<MultiOp>) -> Result<Vec<MultiResult>, Error> {
        let chroot = &self.inner().chroot;
        let callers: Vec<ByteString> =
            ops.iter().map(|op| path_of(op).cloned().unwrap_or_default()).collect();
        for (op, path) in ops.iter_mut().zip(&callers) {
            let full = apply(chroot, op, path);
            set_path(
                op,
                full.map_err(|source| Error::InvalidPath { op: "multi", path: path.to_string(), source })?,
            );
        }
        let shown = callers.first().map_or("/", |path| path);
        let mut results = self.inner().call(shown, &Multi { ops }).await?.results;
        for (result, path) in results.iter_mut().zip(&callers) {
            match result {
                // `OK` stands before the operation that failed, RUNTIME_INCONSISTENCY behind it.
                MultiResult::Error(code)
                    if !matches!(*code, ErrorCode::OK | ErrorCode::RUNTIME_INCONSISTENCY) =>
                {
                    return Err(Error::Server { op: "multi", path: path.to_string(), code: *code });
                }
                MultiResult::Create(path) | MultiResult::Create2 { path, .. } => {
                    *path = chroot.strip(path).into();
                }
                _ => {}
            }
        }
        Ok(results)
    }
}

fn apply(chroot: &Chroot, op: &MultiOp, path: &str) -> Result<ByteString, PathError> {
    let flags = match op {
        MultiOp::Create(create) => create.flags,
        MultiOp::Create2(create) => create.flags,
        MultiOp::CreateContainer(create) => create.flags,
        MultiOp::CreateTtl(create) => create.flags,
        MultiOp::Delete(_) | MultiOp::SetData(_) | MultiOp::Check(_) => 0,
    };
    match zk_wire::CreateMode::from_flags(flags) {
        Some(mode) if mode.is_sequential() => chroot.apply_sequential(path),
        _ => chroot.apply(path),
    }
}

fn path_of(op: &MultiOp) -> Option<&ByteString> {
    match op {
        MultiOp::Create(create) => Some(&create.path),
        MultiOp::Create2(create) => Some(&create.path),
        MultiOp::CreateContainer(create) => Some(&create.path),
        MultiOp::CreateTtl(create) => Some(&create.path),
        MultiOp::Delete(delete) => Some(&delete.path),
        MultiOp::SetData(set) => set.path.as_ref(),
        MultiOp::Check(check) => check.path.as_ref(),
    }
}

fn set_path(op: &mut MultiOp, path: ByteString) {
    match op {
        MultiOp::Create(create) => create.path = path,
        MultiOp::Create2(create) => create.path = path,
        MultiOp::CreateContainer(create) => create.path = path,
        MultiOp::CreateTtl(create) => create.path = path,
        MultiOp::Delete(delete) => delete.path = path,
        MultiOp::SetData(set) => set.path = Some(path),
        MultiOp::Check(check) => check.path = Some(path),
    }
}
