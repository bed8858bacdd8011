//! A number that many clients change.

use bytes::Bytes;
use common::{Backoff, Millis};
use zk_client::{Client, CreateMode, Error as ClientError, ErrorCode, Expected, Stat, Version, Zxid};

use crate::error::Error;
use crate::protected::pause;

/// Name of the recipe in errors.
const RECIPE: &str = "counter";

const PAUSES: Backoff = Backoff::new(Millis(10), Millis(1_000));

/// Shared integer: a node whose data is the number. Clones are handles to the same node.
///
/// A change is a compare-and-set on the node's version: it reads, computes, and writes if nobody wrote meanwhile, else it pauses and
/// tries again. The node is created by the first change; until then the number is 0.
///
/// A change whose reply is lost is never made twice. The counter reads the node again: if it is as it was, the same write is
/// repeated, and as both are conditional only one can be performed; if somebody else has written, the change was refused and
/// starts over. What is left is [`Error::Unknown`]: the number is what this change would have made it, but another client
/// may have made it so. Dropping the future of a change leaves it unknown, too.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use zk_recipes::Counter;
///
/// let counter = Counter::new(&client, "/orders/count");
/// assert_eq!(counter.add(2).await?, 2);
/// assert_eq!(counter.add(-1).await?, 1);
/// assert!(!counter.compare_and_set(7, 8).await?, "it is 1");
/// assert_eq!(counter.get().await?, 1);
/// assert_eq!(client.get("/orders/count").await?.0, "1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Counter {
    client: Client,
    path: String,
    format: CounterFormat,
    attempts: u32,
}

/// Form of the number in the node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum CounterFormat {
    /// Decimal text, as kazoo's `Counter` writes it.
    #[default]
    Text,
    /// Four bytes, the highest first: Curator's `SharedCount` and `DistributedAtomicInteger`, kazoo's `Counter` with
    /// `support_curator`.
    Int32,
    /// Eight bytes, the highest first: Curator's `DistributedAtomicLong`.
    Int64,
}

/// A write without an answer.
struct Unanswered {
    /// State that it expected; `None` for a create.
    expected: Option<(Zxid, Version)>,
    data: Bytes,
    error: ClientError,
}

/// State of the node: its data and `Stat`, if it exists.
type Found = Option<(Bytes, Stat)>;

impl Counter {
    /// Names a counter by the path of its node. Nothing is sent.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self { client: client.clone(), path: path.to_owned(), format: CounterFormat::Text, attempts: 32 }
    }

    /// Sets the form of the number. Default: [`CounterFormat::Text`].
    #[must_use]
    pub fn format(mut self, format: CounterFormat) -> Self {
        self.format = format;
        self
    }

    /// Limits the number of attempts of a change. Default: 32, with pauses that grow to a second.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Returns the number; 0 if the node does not exist or is empty. A server that lags behind may give an earlier one.
    ///
    /// # Errors
    /// [`Error::NotANumber`], or an error of the client.
    pub async fn get(&self) -> Result<i64, Error> {
        let found = self.read().await.map_err(Error::of(RECIPE, &self.path))?;
        self.number(&found)
    }

    /// Sets the number.
    ///
    /// # Errors
    /// The same as of [`Self::add`].
    pub async fn set(&self, number: i64) -> Result<(), Error> {
        self.change(|_| Ok(Some(number))).await.map(|_| ())
    }

    /// Adds to the number and returns the new one.
    ///
    /// # Errors
    /// [`Error::Unknown`] if the reply was lost and it is not known if the change was made; it was not made with any other error.
    /// [`Error::Contended`] if others were faster in all attempts, [`Error::OutOfRange`], [`Error::NotANumber`], or an error of the
    /// client.
    pub async fn add(&self, amount: i64) -> Result<i64, Error> {
        let added = self.change(|number| {
            let sum = number.checked_add(amount);
            sum.map(Some).ok_or_else(|| Error::OutOfRange { path: self.path.clone(), number, amount })
        });
        added.await.map(Option::unwrap_or_default)
    }

    /// Sets the number if it is `expected`. Returns false, and changes nothing, if it is another one.
    ///
    /// # Errors
    /// The same as of [`Self::add`].
    pub async fn compare_and_set(&self, expected: i64, number: i64) -> Result<bool, Error> {
        let changed = self.change(|present| Ok((present == expected).then_some(number))).await?;
        Ok(changed.is_some())
    }

    /// Writes what `next` makes of the number, and returns it; `None` if `next` wants no change.
    async fn change(&self, next: impl Fn(i64) -> Result<Option<i64>, Error>) -> Result<Option<i64>, Error> {
        let mut unanswered: Option<Unanswered> = None;
        let mut random = fastrand::Rng::new();
        for failures in 0..self.attempts {
            let error = match self.read().await {
                Ok(found) => {
                    match &unanswered {
                        Some(write) if write.is_refused_by(&found) => unanswered = None,
                        Some(write) if !write.is_expected_by(&found) => break,
                        _ => {}
                    }
                    let Some(number) = next(self.number(&found)?)? else { return Ok(None) };
                    let data = self.format.encode(number, &self.path)?;
                    match self.write(&found, data.clone()).await {
                        Ok(()) => return Ok(Some(number)),
                        Err(error) if error.may_have_been_applied() => {
                            let expected = found.map(|(_, stat)| (stat.czxid, stat.version));
                            unanswered = Some(Unanswered { expected, data, error });
                            None
                        }
                        Err(error) if is_overtaken(&error) => None,
                        Err(error) => Some(error),
                    }
                }
                Err(error) => Some(error),
            };
            match error {
                Some(error) if unanswered.is_none() => return Err(Error::of(RECIPE, &self.path)(error)),
                Some(error) if !error.is_retryable() => break,
                _ => pause(&self.client, PAUSES.pause(failures, &mut random)).await,
            }
        }
        let (recipe, path) = (RECIPE, self.path.clone());
        Err(match unanswered {
            Some(Unanswered { error: source, .. }) => Error::Unknown { recipe, path, source },
            None => Error::Contended { recipe, path, attempts: self.attempts },
        })
    }

    async fn read(&self) -> Result<Found, ClientError> {
        match self.client.get(&self.path).await {
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(None),
            found => found.map(Some),
        }
    }

    async fn write(&self, found: &Found, data: Bytes) -> Result<(), ClientError> {
        match found {
            Some((_, stat)) => {
                self.client.set(&self.path, data, Expected::Exactly(stat.version)).await.map(|_| ())
            }
            None => {
                let parent = zk_wire::path::split(&self.path).map_or("/", |(parent, _)| parent);
                self.client.ensure_path(parent).await.map_err(not_applied)?;
                self.client.create(&self.path, data, CreateMode::Persistent).await.map(|_| ())
            }
        }
    }

    fn number(&self, found: &Found) -> Result<i64, Error> {
        match found {
            Some((data, _)) => self
                .format
                .decode(data)
                .ok_or_else(|| Error::NotANumber { path: self.path.clone(), data: data.clone() }),
            None => Ok(0),
        }
    }
}

impl Unanswered {
    /// Returns true if the node is as the write expected it.
    fn is_expected_by(&self, found: &Found) -> bool {
        self.expected == found.as_ref().map(|(_, stat)| (stat.czxid, stat.version))
    }

    /// Returns true if another write came first: the next version has other data.
    fn is_refused_by(&self, found: &Found) -> bool {
        let Some((data, stat)) = found else { return false };
        let is_next = match self.expected {
            Some((created, version)) => {
                (stat.czxid, stat.version) == (created, Version(version.0.wrapping_add(1)))
            }
            None => stat.version == Version(0),
        };
        is_next && *data != self.data
    }
}

impl CounterFormat {
    fn decode(self, data: &Bytes) -> Option<i64> {
        if data.is_empty() {
            return Some(0);
        }
        match self {
            Self::Text => std::str::from_utf8(data).ok()?.trim().parse().ok(),
            Self::Int32 => Some(i32::from_be_bytes(data.as_ref().try_into().ok()?).into()),
            Self::Int64 => Some(i64::from_be_bytes(data.as_ref().try_into().ok()?)),
        }
    }

    fn encode(self, number: i64, path: &str) -> Result<Bytes, Error> {
        Ok(match self {
            Self::Text => number.to_string().into(),
            Self::Int32 => {
                let out_of_range = |_| Error::OutOfRange { path: path.to_owned(), number, amount: 0 };
                Bytes::copy_from_slice(&i32::try_from(number).map_err(out_of_range)?.to_be_bytes())
            }
            Self::Int64 => Bytes::copy_from_slice(&number.to_be_bytes()),
        })
    }
}

/// Returns true if the node was changed, created or deleted between the read and the write.
fn is_overtaken(error: &ClientError) -> bool {
    let codes = [ErrorCode::BAD_VERSION, ErrorCode::NODE_EXISTS, ErrorCode::NO_NODE];
    error.code().is_some_and(|code| codes.contains(&code))
}

/// Makes an error of a create of the parents say that the number was not written.
fn not_applied(error: ClientError) -> ClientError {
    match error {
        ClientError::ConnectionLost { op, path, .. } => ClientError::ConnectionLost { op, path, sent: false },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_are_those_of_kazoo_and_curator() {
        use CounterFormat::{Int32, Int64, Text};
        let written = [
            (Text, -12, &b"-12"[..]),
            (Int32, 258, &[0, 0, 1, 2]),
            (Int32, -1, &[255; 4]),
            (Int64, 258, &[0, 0, 0, 0, 0, 0, 1, 2]),
        ];
        for (format, number, data) in written {
            assert_eq!(format.encode(number, "/c").unwrap(), data);
            assert_eq!(format.decode(&Bytes::copy_from_slice(data)), Some(number));
            assert_eq!(format.decode(&Bytes::new()), Some(0));
        }
        assert_eq!(Text.decode(&Bytes::from("7\n")), Some(7), "as an editor leaves it");
        for (format, data) in [(Text, "many"), (Text, "99999999999999999999"), (Int32, "12345"), (Int64, "1")]
        {
            assert_eq!(format.decode(&Bytes::from(data)), None);
        }
        let refused = Int32.encode(1 << 31, "/c").unwrap_err();
        assert!(matches!(refused, Error::OutOfRange { number: 0x8000_0000, .. }), "{refused}");
    }

    #[test]
    fn a_write_without_an_answer_is_judged_by_what_is_there() {
        let stat =
            |created, version| Stat { czxid: Zxid(created), version: Version(version), ..Stat::default() };
        let found = |data: &'static str, created, version| Some((Bytes::from(data), stat(created, version)));
        let error = ClientError::ConnectionLost { op: "setData", path: "/c".to_owned(), sent: true };
        let write = |expected| Unanswered { expected, data: Bytes::from("6"), error: error.clone() };
        let set = write(Some((Zxid(1), Version(3))));
        for (found, is_expected, is_refused) in [
            (found("5", 1, 3), true, false),
            (found("6", 1, 4), false, false),
            (found("7", 1, 4), false, true),
            (found("7", 1, 5), false, false),
            (found("7", 2, 4), false, false),
            (None, false, false),
        ] {
            assert_eq!((set.is_expected_by(&found), set.is_refused_by(&found)), (is_expected, is_refused));
        }
        let create = write(None);
        for (found, is_expected, is_refused) in
            [(None, true, false), (found("6", 1, 0), false, false), (found("7", 1, 0), false, true)]
        {
            assert_eq!(
                (create.is_expected_by(&found), create.is_refused_by(&found)),
                (is_expected, is_refused)
            );
        }
    }
}
