//! The channel from a worker to its parent: readiness, notes, heartbeats.
//!
//! It is a pair of packet sockets and not a pipe: one `send` is one message, whole or not at all, so neither side has to
//! keep a part of one.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

/// Maximum length of a worker's note, in bytes.
pub const MAX_NOTE: usize = 4096;

const READY: u8 = b'R';
const NOTE: u8 = b'N';
const HEARTBEAT: u8 = b'H';
const RETIRE: u8 = b'T';
const LAST_WORDS: u8 = b'W';

/// A message of a worker.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Message {
    /// The worker serves. The note replaces the one before.
    Ready(Vec<u8>),
    /// A new note.
    Note(Vec<u8>),
    /// The worker is alive.
    Heartbeat,
    /// The worker asks to be replaced.
    Retire,
    /// Reason for which the worker is about to exit.
    LastWords(String),
}

/// Result of one attempt to read.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Received {
    /// A message.
    Message(Message),
    /// No message is waiting.
    Nothing,
    /// The worker has closed its end or sent an invalid message: nothing more will come.
    Closed,
}

/// Makes the two ends. Neither blocks, and neither survives an `exec`.
pub(crate) fn pair() -> nix::Result<(ParentEnd, WorkerEnd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (parent, worker) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((ParentEnd(parent), WorkerEnd(worker)))
}

/// The parent's end, which reads.
#[derive(Debug)]
pub(crate) struct ParentEnd(OwnedFd);

impl ParentEnd {
    /// Takes the next message, if one is waiting. An error of the socket counts as a close.
    pub(crate) fn receive(&self) -> Received {
        let mut buf = [0; 1 + MAX_NOTE];
        let len = loop {
            match recv(self.0.as_raw_fd(), &mut buf, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Received::Nothing,
                Err(_) => return Received::Closed,
                Ok(len) => break len,
            }
        };
        match buf[..len].split_first() {
            Some((&READY, note)) => Received::Message(Message::Ready(note.to_vec())),
            Some((&NOTE, note)) => Received::Message(Message::Note(note.to_vec())),
            Some((&HEARTBEAT, [])) => Received::Message(Message::Heartbeat),
            Some((&RETIRE, [])) => Received::Message(Message::Retire),
            Some((&LAST_WORDS, words)) => {
                Received::Message(Message::LastWords(String::from_utf8_lossy(words).into_owned()))
            }
            _ => Received::Closed,
        }
    }
}

impl AsFd for ParentEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The worker's end, which writes.
#[derive(Debug)]
pub(crate) struct WorkerEnd(OwnedFd);

impl AsFd for WorkerEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for WorkerEnd {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl WorkerEnd {
    pub(crate) fn ready(&self, note: &[u8]) -> nix::Result<()> {
        self.send(READY, note)
    }

    pub(crate) fn note(&self, note: &[u8]) -> nix::Result<()> {
        self.send(NOTE, note)
    }

    pub(crate) fn heartbeat(&self) -> nix::Result<()> {
        self.send(HEARTBEAT, &[])
    }

    pub(crate) fn retire(&self) -> nix::Result<()> {
        self.send(RETIRE, &[])
    }

    /// Sends as much of the text as fits.
    pub(crate) fn last_words(&self, words: &str) -> nix::Result<()> {
        self.send(LAST_WORDS, common::beginning(words, MAX_NOTE).as_bytes())
    }

    fn send(&self, kind: u8, note: &[u8]) -> nix::Result<()> {
        if note.len() > MAX_NOTE {
            return Err(Errno::EMSGSIZE);
        }
        let mut message = Vec::with_capacity(1 + note.len());
        message.push(kind);
        message.extend_from_slice(note);
        loop {
            match send(self.0.as_raw_fd(), &message, MsgFlags::MSG_NOSIGNAL) {
                Err(Errno::EINTR) => {}
                sent => return sent.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (parent, worker) = pair().unwrap();
        let long = vec![7; MAX_NOTE];
        worker.heartbeat().unwrap();
        worker.ready(&long).unwrap();
        worker.note(b"").unwrap();
        assert_eq!(parent.receive(), Received::Message(Message::Heartbeat));
        assert_eq!(parent.receive(), Received::Message(Message::Ready(long)));
        assert_eq!(parent.receive(), Received::Message(Message::Note(vec![])));
        assert_eq!(parent.receive(), Received::Nothing);
    }

    #[test]
    fn a_message_sent_before_the_close_is_read() {
        let (parent, worker) = pair().unwrap();
        worker.ready(b"note").unwrap();
        drop(worker);
        assert_eq!(parent.receive(), Received::Message(Message::Ready(b"note".to_vec())));
        assert_eq!(parent.receive(), Received::Closed);
    }

    #[test]
    fn last_words_are_cut_between_characters() {
        let (parent, worker) = pair().unwrap();
        worker.last_words(&"ä".repeat(MAX_NOTE)).unwrap();
        assert_eq!(parent.receive(), Received::Message(Message::LastWords("ä".repeat(MAX_NOTE / 2))));
    }

    #[test]
    fn a_note_that_is_too_long_is_refused() {
        let (_parent, worker) = pair().unwrap();
        assert_eq!(worker.ready(&[0; MAX_NOTE + 1]), Err(Errno::EMSGSIZE));
    }

    #[test]
    fn a_parent_that_does_not_read_does_not_block_the_worker() {
        let (_parent, worker) = pair().unwrap();
        let refused = (0..100_000).find_map(|_| worker.heartbeat().err());
        assert_eq!(refused, Some(Errno::EAGAIN));
    }

    #[test]
    fn a_parent_that_is_gone_is_an_error_and_not_a_signal() {
        let (parent, worker) = pair().unwrap();
        drop(parent);
        assert_eq!(worker.heartbeat(), Err(Errno::EPIPE));
    }
}
