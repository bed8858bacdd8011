//! A server with HTTP on its ZooKeeper port, and a client that shows whole answers.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zk_mini::{Builder, ZkMini};
use zk_mini_http::{Http, Settings};

/// Time after which a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Starts a server with HTTP on its port.
pub(crate) async fn start(builder: Builder) -> (ZkMini, Client) {
    let zk = Http::new(Settings::default()).share_port(builder).start().await.unwrap();
    let addr = zk.addr().unwrap();
    (zk, Client { addr })
}

/// Starts a server with HTTP on its port, with these settings.
pub(crate) async fn start_with(builder: Builder, settings: Settings) -> (ZkMini, Client, Http) {
    let http = Http::new(settings);
    let zk = http.share_port(builder).start().await.unwrap();
    let addr = zk.addr().unwrap();
    (zk, Client { addr }, http)
}

/// A client of HTTP. Each request has a connection of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], b"").await
    }

    /// Sends a POST with JSON.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.send("POST", path, &[("content-type", "application/json")], &body).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send("PUT", path, &[], body.as_ref()).await
    }

    /// Sends a request with these headers, and those that it needs.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            request += &format!("host: {}\r\n", self.addr);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let mut request = (request + "\r\n").into_bytes();
        request.extend(body);
        self.raw(&request).await
    }

    /// Sends these bytes, and reads an answer until the end of the connection.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let exchange = async {
            let mut stream = TcpStream::connect(self.addr).await.unwrap();
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        };
        parse(&tokio::time::timeout(LIMIT, exchange).await.expect("an answer in time"))
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Returns the body of an answer with this status.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Returns the message of an error with this status.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> String {
        let body = self.json(status);
        assert!(body["error"]["code"].is_string(), "{body}");
        body["error"]["message"].as_str().expect("a message").to_owned()
    }
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of the head");
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    };
    let headers: Vec<_> = lines.map(header).collect();
    let mut body = answer[end + 4..].to_vec();
    if headers.contains(&("transfer-encoding".to_owned(), "chunked".to_owned())) {
        body = dechunk(&body);
    }
    Answer { status, headers, body }
}

fn dechunk(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|two| two == b"\r\n") {
        let len = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        body.extend(&chunks[end + 2..end + 2 + len]);
        chunks = &chunks[end + 2 + len + 2..];
    }
    body
}
