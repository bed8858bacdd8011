//! Several reads in one request.

use bytes::Bytes;
use zk_wire::path::PathError;
use zk_wire::{
    ByteString, DecodeError, GetChildren, GetData, MultiRead, OpCode, ReadOp, ReadResult, Request, Stat,
};

use crate::call::op_name;
use crate::client::{Client, names};
use crate::error::Error;

/// Collects reads that are made with one request; see [`Client::reads`].
#[derive(Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct Reads {
    client: Client,
    /// Reads, with the paths as the caller wrote them.
    ops: Vec<(ReadOp, String)>,
    invalid: Option<Error>,
}

/// Result of one of several [`Reads`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Read {
    /// Data of the node, and its `Stat`.
    Data(Bytes, Stat),
    /// Names of the node's children, in no order.
    Children(Vec<String>),
}

impl Client {
    /// Begins several reads in one request, for a few small nodes that belong together: the server reads them one after the
    /// other, in one turn, and sends one answer. An error of one does not affect the others. Needs a server of version 3.6 or
    /// later.
    ///
    /// For many nodes, or large ones, take [`get_all`](Self::get_all): its answers come one by one, so no answer is larger than
    /// a node, and other calls of the client are not kept waiting behind it. Reads with a watch are calls of their own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// use zk_client::{CreateMode, ErrorCode, Read};
    ///
    /// client.create("/app", "1", CreateMode::Persistent).await?;
    /// client.create("/app/db", "", CreateMode::Persistent).await?;
    /// let results = client.reads().get("/app").children("/app").get("/none").send().await?;
    /// let [Ok(Read::Data(data, _)), Ok(Read::Children(names)), Err(error)] = &results[..] else {
    ///     panic!("{results:?}");
    /// };
    /// assert_eq!((&data[..], &names[..]), (&b"1"[..], &["db".to_owned()][..]));
    /// assert_eq!(error.code(), Some(ErrorCode::NO_NODE));
    /// # Ok(())
    /// # }
    /// ```
    pub fn reads(&self) -> Reads {
        Reads { client: self.clone(), ops: Vec::new(), invalid: None }
    }
}

impl Reads {
    /// Reads a node's data and `Stat`, as [`Client::get`] does.
    pub fn get(self, path: &str) -> Self {
        self.push(GetData::OP, path, |path| ReadOp::GetData(GetData { path, watch: false }))
    }

    /// Reads the names of a node's children. For their parent's `Stat` take [`Client::children`]: it is not in the answer.
    pub fn children(self, path: &str) -> Self {
        self.push(GetChildren::OP, path, |path| ReadOp::GetChildren(GetChildren { path, watch: false }))
    }

    /// Sends the request. Returns the results in the order of the reads.
    ///
    /// # Errors
    /// [`Error`] of the request as a whole, as of any read; [`Error::InvalidPath`] means that nothing was sent. The errors of
    /// single reads are among the results, mostly with the codes `NO_NODE` and `NO_AUTH`.
    pub async fn send(self) -> Result<Vec<Result<Read, Error>>, Error> {
        let Self { client, ops, invalid } = self;
        if let Some(error) = invalid {
            return Err(error);
        }
        let (ops, paths): (Vec<_>, Vec<_>) = ops.into_iter().unzip();
        let asked: Vec<_> = ops.iter().map(op_of).collect();
        let shown = paths.first().map_or("/", String::as_str);
        let results = client.inner().call(shown, &MultiRead { ops }).await?.results;
        let unexpected = || Error::Protocol {
            op: op_name::<MultiRead>(),
            path: shown.to_owned(),
            source: DecodeError::UnexpectedType { what: "MultiReadResponse", op: -1 },
        };
        if results.len() != paths.len() {
            return Err(unexpected());
        }
        let each = results.into_iter().zip(asked).zip(&paths);
        let read = |((result, asked), path): ((ReadResult, OpCode), &String)| match result {
            ReadResult::GetData(reply) if asked == GetData::OP => {
                Ok(Ok(Read::Data(reply.data.unwrap_or_default(), reply.stat)))
            }
            ReadResult::GetChildren(reply) if asked == GetChildren::OP => {
                Ok(Ok(Read::Children(names(reply.children))))
            }
            ReadResult::GetData(_) | ReadResult::GetChildren(_) => Err(unexpected()),
            ReadResult::Error(code) => {
                let op = asked.name().unwrap_or("request");
                Ok(Err(Error::Server { op, path: path.clone(), code }))
            }
        };
        each.map(read).collect()
    }

    fn push(mut self, op: OpCode, path: &str, make: impl FnOnce(ByteString) -> ReadOp) -> Self {
        let full: Result<ByteString, PathError> = self.client.inner().chroot.apply(path);
        match full {
            Ok(full) => self.ops.push((make(full), path.to_owned())),
            Err(source) => {
                let op = op.name().unwrap_or("request");
                self.invalid.get_or_insert(Error::InvalidPath { op, path: path.to_owned(), source });
            }
        }
        self
    }
}

fn op_of(op: &ReadOp) -> OpCode {
    match op {
        ReadOp::GetData(_) => GetData::OP,
        ReadOp::GetChildren(_) => GetChildren::OP,
    }
}
