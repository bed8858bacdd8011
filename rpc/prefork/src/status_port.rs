//! The parent's status port: HTTP in the turns of its loop, which never wait.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use common::Millis;
use nix::poll::PollFlags;
use rpc_metrics::http::{Answer, Request, parse};

use crate::error::Error;

/// Maximum number of clients at a time; further ones wait.
const MAX_CLIENTS: usize = 16;

/// Time that a client has, from its connection to the end of the answer.
const PATIENCE: Millis = Millis(5_000);

/// Pause after a failure of `accept`, such as that no descriptors are left.
const REST: Millis = Millis(1_000);

/// Number of bytes to read at a time.
const CHUNK: usize = 2_048;

/// Port with its clients.
#[derive(Debug)]
pub(crate) struct StatusPort {
    listener: TcpListener,
    clients: Vec<HttpClient>,
    rests_until: Option<Millis>,
}

#[derive(Debug)]
struct HttpClient {
    stream: TcpStream,
    until: Millis,
    input: Vec<u8>,
    /// Rest of the answer, once there is one.
    output: Option<Vec<u8>>,
}

impl StatusPort {
    pub(crate) fn new(listener: TcpListener) -> Result<Self, Error> {
        let doing = "use the listener of the status port";
        listener.set_nonblocking(true).map_err(|source| Error::System { doing, source })?;
        Ok(Self { listener, clients: Vec::new(), rests_until: None })
    }

    /// Returns the descriptors to wait for, each with its events.
    pub(crate) fn wakes(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let accepts = self.rests_until.is_none() && self.clients.len() < MAX_CLIENTS;
        let clients = self.clients.iter().map(|client| {
            let events = if client.output.is_some() { PollFlags::POLLOUT } else { PollFlags::POLLIN };
            (client.stream.as_fd(), events)
        });
        accepts.then(|| (self.listener.as_fd(), PollFlags::POLLIN)).into_iter().chain(clients)
    }

    /// Returns the time of the next turn if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.clients.iter().map(|client| client.until).chain(self.rests_until).min()
    }

    /// Accepts, reads, answers and closes, as far as that does not wait.
    pub(crate) fn turn(&mut self, now: Millis, answer: impl Fn(&str) -> Answer) {
        self.rests_until.take_if(|at| *at <= now);
        while self.rests_until.is_none() && self.clients.len() < MAX_CLIENTS {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_ok() {
                        let client =
                            HttpClient { stream, until: now + PATIENCE, input: Vec::new(), output: None };
                        self.clients.push(client);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(_) => self.rests_until = Some(now + REST),
            }
        }
        self.clients.retain_mut(|client| now < client.until && client.turn(&answer).is_ok_and(|done| !done));
    }
}

impl HttpClient {
    /// Goes on with the exchange; returns true at its end.
    fn turn(&mut self, answer: impl Fn(&str) -> Answer) -> io::Result<bool> {
        while self.output.is_none() {
            let mut chunk = [0; CHUNK];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(true),
                Ok(read) => self.input.extend_from_slice(&chunk[..read]),
                Err(error) => return still_waits(error),
            }
            self.output = match parse(&self.input) {
                Request::Incomplete => None,
                Request::Get { path, head } => Some(answer(path).encode(head)),
                Request::Bad(answer) => Some(answer.encode(false)),
            };
        }
        let output = self.output.get_or_insert_default();
        while !output.is_empty() {
            match self.stream.write(output) {
                Ok(0) => return Ok(true),
                Ok(written) => drop(output.drain(..written)),
                Err(error) => return still_waits(error),
            }
        }
        Ok(true)
    }
}

/// Returns false for an error that means that the client is to be waited for.
fn still_waits(error: io::Error) -> io::Result<bool> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(false),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> (StatusPort, impl Fn() -> TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        (StatusPort::new(listener).unwrap(), move || TcpStream::connect(addr).unwrap())
    }

    #[test]
    fn a_request_in_parts_is_answered_and_the_connection_closed() {
        let (mut port, connect) = port();
        let mut client = connect();
        let mut answer = String::new();
        for part in ["GET /a HTTP/1.1\r\n", "host: x\r\n", "\r\n"] {
            client.write_all(part.as_bytes()).unwrap();
            port.turn(Millis(0), |path| Answer::text(200, path));
        }
        // What was sent may arrive a little later.
        while port.deadline().is_some() {
            port.turn(Millis(0), |path| Answer::text(200, path));
        }
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n/a"), "{answer}");
    }

    #[test]
    fn silent_clients_are_few_and_leave_after_a_while() {
        let (mut port, connect) = port();
        let silent: Vec<_> = (0..MAX_CLIENTS).map(|_| connect()).collect();
        while port.clients.len() < MAX_CLIENTS {
            port.turn(Millis(0), |_| Answer::not_found());
        }
        let _one_more = connect();
        assert_eq!((port.wakes().count(), port.deadline()), (MAX_CLIENTS, Some(PATIENCE)));
        port.turn(PATIENCE, |_| Answer::not_found());
        assert_eq!((port.clients.len(), port.deadline()), (0, None));
        for mut client in silent {
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        }
    }

    #[test]
    fn a_failure_to_accept_is_followed_by_a_rest() {
        let (mut port, _) = port();
        port.rests_until = Some(Millis(1_000));
        assert_eq!((port.wakes().count(), port.deadline()), (0, Some(Millis(1_000))));
        port.turn(Millis(1_000), |_| Answer::not_found());
        assert_eq!((port.wakes().count(), port.deadline()), (1, None));
    }
}
