//! A connection to the HTTP of zk-mini: requests, answers, errors.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::identify::identify;
use super::options::HttpArgs;
use super::target::Target;
use crate::client::error::{ClientError, FAILURE, NO_AUTH, USAGE};

/// Newest version of the interface that this program knows.
const API: u64 = 1;

/// Maximum size of an answer.
const MAX_ANSWER: usize = 256 << 20;

/// Connection to a zk-mini.
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    target: Target,
    token: Option<String>,
    limit: Duration,
    /// Chroot of the list of servers.
    pub(crate) chroot: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: String,
}

/// Connects to the first server that answers, and makes sure that it is a zk-mini.
pub(crate) async fn connect(args: &HttpArgs) -> Result<Connection, ClientError> {
    let (chroot, targets) = args.targets()?;
    let token = args.token()?;
    let mut tried = String::new();
    for target in targets {
        let cause = match timeout(args.timeout, TcpStream::connect(&target.address)).await {
            Ok(Ok(stream)) => {
                let (chroot, token) = (chroot.clone(), token.clone());
                return greet(stream, Connecting { target, token, limit: args.timeout, chroot }).await;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no connection in time".to_owned(),
        };
        let comma = if tried.is_empty() { "" } else { ", " };
        let _ = write!(tried, "{comma}{} ({cause})", target.address);
    }
    Err(ClientError::NoHttp { tried })
}

struct Connecting {
    target: Target,
    token: Option<String>,
    limit: Duration,
    chroot: String,
}

async fn greet(stream: TcpStream, with: Connecting) -> Result<Connection, ClientError> {
    let Connecting { target, token, limit, chroot } = with;
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| lost(&target.address, &error))?;
    // Its end shows at the next request.
    tokio::spawn(connection);
    let mut connection = Connection { sender, target, token, limit, chroot };
    let status = match connection.json("/v1/status").await {
        Err(ClientError::HttpLost { .. }) => {
            let who = identify(&connection.target.address, limit).await;
            return Err(ClientError::NoZkMini { who });
        }
        status => status?,
    };
    match status["api"].as_u64() {
        Some(..=API) => Ok(connection),
        Some(api) => Err(ClientError::NewerApi { api, known: API }),
        None => Err(connection.stranger()),
    }
}

fn lost(address: &str, error: &hyper::Error) -> ClientError {
    ClientError::HttpLost { address: address.to_owned(), cause: error.to_string() }
}

impl Connection {
    /// Asks for a JSON value.
    pub(crate) async fn json(&mut self, path: &str) -> Result<Value, ClientError> {
        let limit = self.limit;
        let answer = timeout(limit, async {
            let body = self.get(path, None).await?.into_body();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let cause = |error: Box<dyn std::error::Error + Send + Sync>| error.to_string();
            body.map(Collected::to_bytes).map_err(|error| ClientError::HttpLost {
                address: self.target.address.clone(),
                cause: cause(error),
            })
        });
        let body = answer.await.map_err(|_| ClientError::NoAnswer { within: limit })??;
        serde_json::from_slice(&body).map_err(|_| self.stranger())
    }

    /// Opens a stream of events, behind the one with an id.
    pub(crate) async fn events(&mut self, path: &str, last: Option<&str>) -> Result<Incoming, ClientError> {
        let limit = self.limit;
        let answer = timeout(limit, self.get(path, last)).await;
        Ok(answer.map_err(|_| ClientError::NoAnswer { within: limit })??.into_body())
    }

    async fn get(&mut self, path: &str, last: Option<&str>) -> Result<Response<Incoming>, ClientError> {
        let address = &self.target.address;
        let mut request = Request::get(format!("{}{path}", self.target.prefix)).header(HOST, address);
        request = request.header(
            ACCEPT,
            if path.starts_with("/v1/events") { "text/event-stream" } else { "application/json" },
        );
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        // Only a token with control characters cannot be sent.
        let request = request.body(Empty::new()).map_err(|_| ClientError::BadToken)?;
        // The answer before may be read while its connection does not know yet that it is over.
        self.sender.ready().await.map_err(|error| lost(address, &error))?;
        let answer = self.sender.send_request(request).await.map_err(|error| lost(address, &error))?;
        if answer.status() == StatusCode::OK { Ok(answer) } else { Err(self.refused(answer).await) }
    }

    async fn refused(&self, answer: Response<Incoming>) -> ClientError {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => {
                let may_not = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                let hint = if may_not { "; --http-token-file names a file with the token" } else { "" };
                let exit = match status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => NO_AUTH,
                    StatusCode::BAD_REQUEST => USAGE,
                    _ => FAILURE,
                };
                ClientError::HttpRefused { message: body.error.message, hint, exit }
            }
            Err(_) => self.stranger(),
        }
    }

    fn stranger(&self) -> ClientError {
        ClientError::NoZkMini { who: format!("{} answers HTTP, but is no zk-mini", self.target.address) }
    }

    /// Returns the server's path of a path.
    pub(crate) fn apply(&self, path: &str) -> String {
        match (self.chroot.as_str(), path) {
            (chroot, "/") if !chroot.is_empty() => chroot.to_owned(),
            (chroot, path) => format!("{chroot}{path}"),
        }
    }

    /// Replaces the server's path in a field by the one below the chroot.
    pub(crate) fn strip(&self, value: &mut Value) {
        let Some(Value::String(path)) = value.get_mut("path") else { return };
        match path.strip_prefix(&self.chroot) {
            Some("") if !self.chroot.is_empty() => "/".clone_into(path),
            Some(rest) if rest.starts_with('/') => *path = rest.to_owned(),
            _ => {}
        }
    }
}

/// Returns the text for a query of a URL.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// Bytes that are encoded in a query: all but RFC 3986's unreserved ones, and the slash.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_a_path_reaches_the_server() {
        assert_eq!(encoded("/a b&c=d?é%+**"), "/a%20b%26c%3Dd%3F%C3%A9%25%2B%2A%2A");
    }
}
