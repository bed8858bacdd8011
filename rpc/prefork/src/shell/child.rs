//! A child as the shell knows it: its pid, its channel and the texts it has left.

use nix::unistd::Pid;

use crate::board::BoardReader;
use crate::channel::{Message, ParentEnd};
use crate::supervisor::{ChildId, Exit, Input};

pub(super) struct ChildProcess {
    pub(super) pid: Pid,
    pub(super) slot: u32,
    pub(super) channel: Option<ParentEnd>,
    /// Board with the metrics of the worker; `None` without a status port.
    pub(super) board: Option<BoardReader>,
    pub(super) note: Vec<u8>,
    pub(super) last_words: Option<String>,
    /// Set once it has been reaped. The entry stays until the core's reaction has been performed, but from now on the pid
    /// may belong to a stranger and is never signalled.
    pub(super) exit: Option<Exit>,
}

impl ChildProcess {
    pub(super) fn new(pid: Pid, slot: u32, channel: Option<ParentEnd>) -> Self {
        Self { pid, slot, channel, board: None, note: Vec::new(), last_words: None, exit: None }
    }

    /// Keeps the content of a message and returns the part that the core needs.
    pub(super) fn take(&mut self, id: ChildId, message: Message) -> Vec<Input> {
        match message {
            Message::Heartbeat => vec![],
            Message::Retire => vec![Input::Retire(id)],
            Message::LastWords(words) => {
                self.last_words = Some(words);
                vec![]
            }
            Message::Note(note) => {
                self.note = note;
                vec![Input::Noted(id, !self.note.is_empty())]
            }
            Message::Ready(note) => {
                self.note = note;
                vec![Input::Noted(id, !self.note.is_empty()), Input::Ready(id)]
            }
        }
    }
}
