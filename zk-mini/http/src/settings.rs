//! Settings of the HTTP side.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::guard::{InvalidToken, Token};

/// Settings of the HTTP side. The defaults are for a port on loopback: open to programs of the machine, closed to web pages of
/// others.
///
/// On a port that other machines can reach (any address but a loopback one), every request is refused unless there is a
/// [`token`](Self::token), or its part is [open](Self::open).
///
/// ```
/// use zk_mini_http::Settings;
///
/// # fn main() -> Result<(), zk_mini_http::InvalidToken> {
/// let settings = Settings::default().token("5f0c8f31d9a24b7e")?.open(true, false).max_connections(64);
/// # let _ = settings;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Settings {
    pub(crate) token: Option<Token>,
    pub(crate) is_metrics_open: bool,
    pub(crate) is_commands_open: bool,
    pub(crate) max_connections: usize,
    pub(crate) max_event_streams: usize,
    pub(crate) event_keep_alive: Duration,
    pub(crate) max_body: usize,
    pub(crate) max_restore: usize,
    pub(crate) head_time: Duration,
    pub(crate) body_time: Duration,
    pub(crate) write_time: Duration,
    pub(crate) shutdown: Shutdown,
}

/// Effect of the command SHUTDOWN.
#[derive(Clone, Default)]
pub(crate) enum Shutdown {
    /// The server is taken down, and can be brought up again.
    #[default]
    TakeDown,
    /// A function is called, which ends the program.
    Call(Arc<dyn Fn() + Send + Sync>),
    /// Nothing happens; the answer has the reason.
    Refuse(Arc<str>),
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakeDown => f.write_str("TakeDown"),
            Self::Call(_) => f.write_str("Call"),
            Self::Refuse(reason) => f.debug_tuple("Refuse").field(reason).finish(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: None,
            is_metrics_open: false,
            is_commands_open: false,
            max_connections: 256,
            max_event_streams: 128,
            event_keep_alive: Duration::from_secs(15),
            max_body: 1 << 20,
            max_restore: 256 << 20,
            head_time: Duration::from_secs(300),
            body_time: Duration::from_secs(60),
            write_time: Duration::from_secs(20),
            shutdown: Shutdown::default(),
        }
    }
}

impl Settings {
    /// Wants the header `Authorization: Bearer TOKEN` with every request, and answers on every address then. Loopback is no
    /// exception: who sets a token does not trust every local program. Files of the page are served without, as they ask
    /// for it; white space around the token, such as the line end of a file, is dropped.
    ///
    /// # Errors
    /// [`InvalidToken`] if no client could send it: it is one word of visible ASCII characters.
    ///
    /// ```
    /// use zk_mini_http::Settings;
    ///
    /// assert!(Settings::default().token("5f0c8f31d9a24b7e\n").is_ok());
    /// assert!(Settings::default().token("").is_err());
    /// ```
    pub fn token(mut self, token: &str) -> Result<Self, InvalidToken> {
        self.token = Some(Token::new(token)?);
        Ok(self)
    }

    /// Opens `/metrics`, or the AdminServer's commands that change nothing, to everybody who can reach a port, without a token.
    ///
    /// ```
    /// use zk_mini_http::Settings;
    ///
    /// let for_prometheus = Settings::default().open(true, false);
    /// # let _ = for_prometheus;
    /// ```
    pub fn open(mut self, metrics: bool, commands: bool) -> Self {
        self.is_metrics_open = metrics;
        self.is_commands_open = commands;
        self
    }

    /// Sets the maximum number of HTTP connections; 256 unless set. One more takes the place of the connection that has been
    /// waiting for a request longest; if all are busy, it is answered with 503.
    ///
    /// ```
    /// use zk_mini_http::Settings;
    ///
    /// let settings = Settings::default().max_connections(1_000).max_event_streams(500);
    /// # let _ = settings;
    /// ```
    pub fn max_connections(mut self, n: usize) -> Self {
        self.max_connections = n.max(1);
        self
    }

    /// Sets the maximum number of event streams, which stay busy for long; 128 unless set. One more is answered with 503. At
    /// most half of the connections can be event streams, so that others are answered.
    pub fn max_event_streams(mut self, n: usize) -> Self {
        self.max_event_streams = n;
        self
    }

    /// Sets the time after which an event stream on which nothing happens gets a comment; 15 s unless set. It shows both sides that the
    /// other is there.
    pub fn event_keep_alive(mut self, time: Duration) -> Self {
        self.event_keep_alive = time;
        self
    }

    /// Sets the maximum length of a body; 1 MiB unless set. A longer one is answered with 413. Data of a node may have as many bytes
    /// as jute.maxbuffer allows, and snapshots have a [limit](Self::max_restore) of their own.
    ///
    /// ```
    /// use zk_mini_http::Settings;
    ///
    /// let settings = Settings::default().max_body(16 << 20).max_restore(1 << 30);
    /// # let _ = settings;
    /// ```
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the maximum length of a snapshot that is restored; 256 MiB unless set.
    pub fn max_restore(mut self, bytes: usize) -> Self {
        self.max_restore = bytes;
        self
    }

    /// Sets the time that a connection may wait for the whole head of a request, from its start or the end of the answer
    /// before; 5 min unless set. It is closed afterwards.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zk_mini_http::Settings;
    ///
    /// let seconds = Duration::from_secs;
    /// let settings = Settings::default().head_time(seconds(5)).body_time(seconds(30)).write_time(seconds(10));
    /// # let _ = settings;
    /// ```
    pub fn head_time(mut self, time: Duration) -> Self {
        self.head_time = time;
        self
    }

    /// Sets the time for the whole body of a request to arrive; 60 s unless set. The answer to a slower one is 408.
    pub fn body_time(mut self, time: Duration) -> Self {
        self.body_time = time;
        self
    }

    /// Sets the time that a peer may read nothing of an answer that does not fit into the buffers between; 20 s unless set.
    /// It is disconnected afterwards.
    pub fn write_time(mut self, time: Duration) -> Self {
        self.write_time = time;
        self
    }

    /// Sets what `/command/SHUTDOWN` does, after its answer has been sent: a program ends. Unless set, the server is
    /// [taken down](zk_mini::Handle::take_down), which a library can do without harm to its program. See also
    /// [`refuse_shutdown`](Self::refuse_shutdown).
    ///
    /// The function is called on the thread that serves HTTP, and must not block.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tokio::sync::Notify;
    /// use zk_mini_http::Settings;
    ///
    /// let end = Arc::new(Notify::new());
    /// let settings = Settings::default().on_shutdown({
    ///     let end = Arc::clone(&end);
    ///     move || end.notify_one()
    /// });
    /// # let _ = settings;
    /// ```
    pub fn on_shutdown(mut self, shut_down: impl Fn() + Send + Sync + 'static) -> Self {
        self.shutdown = Shutdown::Call(Arc::new(shut_down));
        self
    }

    /// Refuses `/command/SHUTDOWN` with 403 and this reason: the server belongs to somebody else than its clients.
    ///
    /// ```
    /// use zk_mini_http::Settings;
    ///
    /// let settings = Settings::default().refuse_shutdown("the test suite ends the server");
    /// # let _ = settings;
    /// ```
    pub fn refuse_shutdown(mut self, reason: &str) -> Self {
        self.shutdown = Shutdown::Refuse(reason.into());
        self
    }
}
