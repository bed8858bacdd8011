//! A stream as its caller asks for it: options, then a future of its halves.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rpc_wire::{MethodKind, PayloadError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::active::ActiveStream;
use super::messages::Messages;
#[cfg(feature = "tower")]
use super::opening::Opened;
use super::opening::Opening;
use super::place::StreamPlace;
use super::upload::{MessageSender, Upload};
use crate::attempts;
use crate::client::Client;
use crate::error::Error;
#[cfg(feature = "tower")]
use crate::layer::{Body, Calls, Request, foreign_response};
use crate::options::Options;
#[cfg(feature = "tower")]
use crate::shared::Shared;

/// A stream to open: awaiting it gives `T`, the halves that the caller has.
///
/// It has no deadline unless one is set. It is opened on another connection, or another instance, as long as nothing of it
/// has run and no message was sent; after that it is never repeated, because messages that were sent are not kept.
#[must_use = "await it"]
pub struct StreamCall<'a, T> {
    client: &'a Client,
    method: &'a str,
    options: Options,
    deadline: Option<Duration>,
    halves: PhantomData<fn() -> T>,
}

impl Client {
    /// Prepares a call that the server answers with messages, one after the other.
    ///
    /// ```
    /// use rpc_client::{Client, Error};
    ///
    /// async fn follow(client: &Client, account: u64) -> Result<(), Error> {
    ///     let mut bookings = client.server_stream::<_, String>("bookings", &account).await?;
    ///     while let Some(booking) = bookings.next().await {
    ///         println!("{}", booking?);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn server_stream<'a, A, R>(&'a self, method: &'a str, argument: &A) -> StreamCall<'a, Messages<R>>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let mut payload = Vec::new();
        let encoded = self.shared().config.format.encode(argument, &mut payload);
        StreamCall::new(self, method, encoded.map(|()| payload))
    }

    /// Prepares a call whose argument is many messages.
    ///
    /// ```
    /// use rpc_client::{Client, Error};
    ///
    /// async fn sum(client: &Client, numbers: &[u64]) -> Result<u64, Error> {
    ///     let mut upload = client.client_stream("sum").await?;
    ///     for number in numbers {
    ///         upload.send(number).await?;
    ///     }
    ///     upload.finish().await
    /// }
    /// ```
    pub fn client_stream<'a, A, R>(&'a self, method: &'a str) -> StreamCall<'a, Upload<A, R>>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        StreamCall::new(self, method, Ok(Vec::new()))
    }

    /// Prepares a call with messages both ways.
    ///
    /// ```
    /// use rpc_client::{Client, Error};
    ///
    /// async fn greet(client: &Client) -> Result<(), Error> {
    ///     let (mut sender, mut answers) = client.bidi_stream::<str, String>("chat").await?;
    ///     sender.send("hello").await?;
    ///     println!("{:?}", answers.next().await.transpose()?);
    ///     sender.finish();
    ///     Ok(())
    /// }
    /// ```
    pub fn bidi_stream<'a, A, R>(&'a self, method: &'a str) -> StreamCall<'a, (MessageSender<A>, Messages<R>)>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        StreamCall::new(self, method, Ok(Vec::new()))
    }
}

impl<'a, T> StreamCall<'a, T> {
    fn new(client: &'a Client, method: &'a str, argument: Result<Vec<u8>, PayloadError>) -> Self {
        Self { client, method, options: Options::new(argument), deadline: None, halves: PhantomData }
    }

    /// Sets the time after which the stream is cancelled, from its opening to its end. Default: none, but inside a handler of
    /// `rpc-server` the stream ends no later than the call that is handled.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Adds a name and a value beside the argument; see [`Call::metadata`](crate::Call::metadata).
    pub fn metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.options.add_metadata(name, value);
        self
    }

    /// Sets the key of the stream; see [`Call::key`](crate::Call::key).
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.options.set_key(key);
        self
    }

    /// Waits for an instance up to the deadline; see [`Call::wait_for_ready`](crate::Call::wait_for_ready).
    pub fn wait_for_ready(mut self) -> Self {
        self.options.wait_for_ready();
        self
    }

    /// Ends at once with an error if no instance takes a stream now; see [`Call::fail_fast`](crate::Call::fail_fast).
    pub fn fail_fast(mut self) -> Self {
        self.options.fail_fast();
        self
    }

    /// Opens the stream, through layers if there are any.
    async fn open(mut self, kind: MethodKind) -> Result<(Arc<StreamPlace>, Arc<ActiveStream>), Error> {
        let payload = self.options.take_argument(self.method)?.into();
        let (kept, begun) = (Arc::clone(self.client.kept()), Instant::now());
        let deadline = self.deadline.unwrap_or(Duration::MAX);
        let Options { metadata, key, patience, .. } = self.options;
        #[cfg(feature = "tower")]
        if let Some(layers) = self.client.layers() {
            let request = Request {
                method: self.method.to_owned(),
                kind,
                metadata,
                payload,
                deadline,
                idempotent: false,
                key,
                patience,
                hedge: None,
                begun,
                left: Arc::default(),
                kept: Some(kept),
            };
            return Ok(StreamPlace::new(through(layers, request, self.client.shared()).await?));
        }
        let deadline = attempts::deadline(&kept.shared, kept.shared.clock.at(begun), deadline);
        let mut opening = Opening::new(kept, self.method, kind, deadline);
        (opening.payload, opening.metadata) = (payload, metadata);
        (opening.key, opening.patience) = (key, patience);
        Ok(StreamPlace::new(opening.begin().await?))
    }
}

/// Opens a stream through layers.
#[cfg(feature = "tower")]
async fn through(layers: &Calls, request: Request, shared: &Shared) -> Result<Opened, Error> {
    let method = request.method.clone();
    match layers.make(shared, request).await?.0 {
        Body::Stream(opened) => Ok(*opened),
        Body::Answer(_) => Err(foreign_response(shared, &method)),
    }
}

/// A stream that is being opened.
type Open<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl<'a, R: DeserializeOwned + 'a> IntoFuture for StreamCall<'a, Messages<R>> {
    type Output = Result<Messages<R>, Error>;
    type IntoFuture = Open<'a, Messages<R>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (place, stream) = self.open(MethodKind::ServerStream).await?;
            Ok(Messages::new(place, stream))
        })
    }
}

impl<'a, A: Serialize + ?Sized + 'a, R: DeserializeOwned + 'a> IntoFuture for StreamCall<'a, Upload<A, R>> {
    type Output = Result<Upload<A, R>, Error>;
    type IntoFuture = Open<'a, Upload<A, R>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (place, stream) = self.open(MethodKind::ClientStream).await?;
            Ok(Upload::new(MessageSender::new(place, stream)))
        })
    }
}

impl<'a, A, R> IntoFuture for StreamCall<'a, (MessageSender<A>, Messages<R>)>
where
    A: Serialize + ?Sized + 'a,
    R: DeserializeOwned + 'a,
{
    type Output = Result<(MessageSender<A>, Messages<R>), Error>;
    type IntoFuture = Open<'a, (MessageSender<A>, Messages<R>)>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (place, stream) = self.open(MethodKind::BidiStream).await?;
            let sender = MessageSender::new(Arc::clone(&place), Arc::clone(&stream));
            Ok((sender, Messages::new(place, stream)))
        })
    }
}

impl<T> fmt::Debug for StreamCall<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCall")
            .field("method", &self.method)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
