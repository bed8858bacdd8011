//! ZooKeeper's four-letter words: a connection that begins with one gets an answer in text, and the end.
//!
//! Layout and keys are those of the real server, so that what reads its answers reads these.

mod clients;
mod conf;
mod date;
mod dump;
mod envi;
mod mntr;
mod server;
mod watches;

use std::net::SocketAddr;
use std::sync::Arc;

use zk_wire::Millis;

use crate::core::{Compat, ConnId, Core};
use crate::shell::limits::Limits;
use crate::shell::state::ServerState;
use crate::shell::turn::Turn;
use crate::storage::Files;

macro_rules! words {
    ($($name:ident = $word:literal, $doc:literal;)*) => {
        /// A four-letter word.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Word {
            $(#[doc = $doc] $name,)*
        }

        impl Word {
            const ALL: &[(Self, &'static str)] = &[$((Self::$name, $word),)*];
        }
    };
}

words! {
    Conf = "conf", "How the server is configured.";
    Cons = "cons", "Everything about the connections.";
    Crst = "crst", "Begins to count anew, for each connection.";
    Dirs = "dirs", "The size of what is on disk.";
    Dump = "dump", "Sessions, with their ephemeral nodes, and connections, by the time of their expiry.";
    Envi = "envi", "What the server runs on.";
    Gtmk = "gtmk", "The trace mask.";
    Hash = "hash", "Digests of the tree.";
    Isro = "isro", "Whether the server is read-only.";
    Mntr = "mntr", "Figures, one to a line.";
    Ruok = "ruok", "Whether the server runs.";
    Srst = "srst", "Begins to count anew, for the server.";
    Srvr = "srvr", "The server in a few lines.";
    Stat = "stat", "The same and who is connected.";
    Stmk = "stmk", "Sets the trace mask to the eight bytes that follow.";
    Wchc = "wchc", "Watches by session.";
    Wchp = "wchp", "Watches by path.";
    Wchs = "wchs", "How many watches there are.";
}

impl Word {
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(word, _)| *word == self).map_or("", |(_, name)| name)
    }
}

/// What ZooKeeper's trace mask is unless somebody sets it.
pub(crate) const DEFAULT_TRACE_MASK: i64 = 0b1_0011_0010;

/// What the answers tell of a server that is not in its state.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) compat: Compat,
    pub(crate) tick: Millis,
    pub(crate) listens: Option<SocketAddr>,
    /// `clientPortListenBacklog`, as it was set.
    pub(crate) backlog: i32,
    pub(crate) words: Words,
    /// What is on disk, if anything is.
    pub(crate) files: Option<Arc<Files>>,
}

/// The words that are answered (`4lw.commands.whitelist`): all of them, unless it says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Words(u32);

/// What a connection begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// Not known yet.
    Incomplete,
    /// No word: the length of a frame.
    Frame,
    Word(Question),
}

/// A word, and what it needs to be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Question {
    Refused(Word),
    Word(Word),
    SetTraceMask(i64),
    /// A mask should have come with the word, and did not: the connection ends without an answer.
    SetNothing,
}

impl Words {
    /// Those in a list with commas; a `*` means all. As in ZooKeeper others are passed over, and `srvr` is always
    /// answered.
    pub(crate) fn listed(list: &str) -> Self {
        let mut words = Self(0);
        for item in list.split(',').map(str::trim) {
            if item == "*" {
                return Self::default();
            }
            words.0 |=
                Word::ALL.iter().filter(|(_, name)| *name == item).fold(0, |all, (word, _)| all | bit(*word));
        }
        words.0 |= bit(Word::Srvr);
        words
    }

    /// Looks at the first bytes of a connection. Whatever the longest frame is, they are a word rather than a length.
    pub(crate) fn opening(&self, input: &[u8]) -> Opening {
        let Some((first, rest)) = input.split_first_chunk::<4>() else { return Opening::Incomplete };
        let Some((word, _)) = Word::ALL.iter().find(|(_, name)| name.as_bytes() == first) else {
            return Opening::Frame;
        };
        Opening::Word(match word {
            word if self.0 & bit(*word) == 0 => Question::Refused(*word),
            Word::Stmk => match rest.first_chunk() {
                Some(mask) => Question::SetTraceMask(i64::from_be_bytes(*mask)),
                None => Question::SetNothing,
            },
            word => Question::Word(*word),
        })
    }
}

impl Default for Words {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

fn bit(word: Word) -> u32 {
    1 << (word as u32)
}

/// More lines than this are written where others do not wait.
const MANY: usize = 5_000;

/// Facts about a server that are not in its state and take a while to look up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surroundings {
    /// Bytes of snapshots and of logs.
    disk_usage: [u64; 2],
    open_files: usize,
    max_open_files: u64,
}

impl Surroundings {
    /// Looks up those that a question needs.
    pub(crate) fn look_up(question: Question, about: &About) -> Self {
        match question {
            Question::Word(Word::Dirs) => {
                let disk_usage = about.files.as_ref().map(|files| files.usage().map(|(_, size)| size));
                Self { disk_usage: disk_usage.unwrap_or_default(), ..Self::default() }
            }
            Question::Word(Word::Mntr) => Self {
                open_files: mntr::open_files(),
                max_open_files: mntr::max_open_files(),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

/// An answer, or how it is written: it has many lines, and needs the state no more.
pub(crate) enum Answer {
    Written(String),
    ToWrite(Box<dyn FnOnce() -> String + Send>),
}

impl Answer {
    /// Four bytes may ask for all watches of everybody, and do not get more than may wait for a client.
    pub(crate) fn bounded(text: String, limits: &Limits) -> String {
        let (len, max) = (text.len(), limits.max_backlog);
        if len > max {
            return format!("The answer takes {len} bytes, and at most {max} may wait for a client.\n");
        }
        text
    }

    fn of(lines: usize, write: impl FnOnce() -> String + Send + 'static) -> Self {
        if lines > MANY { Self::ToWrite(Box::new(write)) } else { Self::Written(write()) }
    }
}

/// Answers a question from a connection. It is counted, but its answer is not yet.
pub(crate) fn answer(
    question: Question,
    state: &mut ServerState,
    turn: &Turn<'_>,
    from: ConnId,
    around: Surroundings,
    about: &About,
) -> Answer {
    match question {
        Question::Word(Word::Cons) => {
            let clients = clients::gather(state, from);
            Answer::of(clients.len(), move || clients::answer(&clients))
        }
        Question::Word(Word::Stat) => {
            let (clients, rest, about) = (clients::gather(state, from), server::rest(state), about.clone());
            Answer::of(clients.len(), move || server::with_clients(&about, &clients, &rest))
        }
        Question::Word(Word::Dump) => {
            let dump = dump::Dump::gather(state, turn.now);
            Answer::of(dump.len(), move || dump.answer())
        }
        Question::Word(Word::Wchc) => {
            let watches = watches::Watches::gather(&state.core);
            Answer::of(watches.len(), move || watches.by_session())
        }
        Question::Word(Word::Wchp) => {
            let watches = watches::Watches::gather(&state.core);
            Answer::of(watches.len(), move || watches.by_path())
        }
        question => Answer::Written(short_answer(question, state, turn, around, about)),
    }
}

fn short_answer(
    question: Question,
    state: &mut ServerState,
    turn: &Turn<'_>,
    around: Surroundings,
    about: &About,
) -> String {
    let word = match question {
        Question::Word(word) => word,
        Question::Refused(word) => {
            return format!("{} is not executed because it is not in the whitelist.\n", word.name());
        }
        Question::SetTraceMask(mask) => {
            state.trace_mask = mask;
            return mask.to_string();
        }
        Question::SetNothing => return String::new(),
    };
    match word {
        Word::Conf => conf::answer(&state.core, about, turn.limits),
        Word::Crst => {
            state.connections.reset_each();
            "Connection stats reset.\n".into()
        }
        Word::Dirs => {
            let [data, log] = around.disk_usage;
            format!("datadir_size: {data}\nlogdir_size: {log}\n")
        }
        Word::Envi => envi::answer(about),
        Word::Gtmk | Word::Stmk => state.trace_mask.to_string(),
        // The real server has nothing to say to `hash` either before its 128th transaction; the others are answered before.
        Word::Hash | Word::Cons | Word::Dump | Word::Stat | Word::Wchc | Word::Wchp => String::new(),
        Word::Isro => "rw".into(),
        Word::Mntr => mntr::answer(state, turn.now, around, about),
        Word::Ruok => "imok".into(),
        Word::Srst => {
            state.connections.stats = crate::shell::stats::ServerStats::default();
            state.core.reset_figures();
            "Server stats reset.\n".into()
        }
        Word::Srvr => server::answer(state, about),
        Word::Wchs => watches::summary(&state.core),
    }
}

/// The version of ZooKeeper that the server is like, and its own, in ZooKeeper's form.
fn version(about: &About) -> String {
    let like = match about.compat {
        Compat::V3_8 => "3.8.7",
        Compat::V3_9 => "3.9.5",
    };
    let date = "1970-01-01 00:00 UTC"; // Not known: a build that is the same for the same source has no date.
    format!("{like}-zk-mini-{}, built on {date}", env!("CARGO_PKG_VERSION"))
}

/// How many nodes the real server says that there are: its map holds the root under two names.
fn node_count(core: &Core) -> usize {
    core.node_count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_zookeeper_reads_it() {
        let words = Words::listed(" ruok, stat,nope");
        let opening = |word: &[u8]| words.opening(word);
        assert_eq!(opening(b"ruok"), Opening::Word(Question::Word(Word::Ruok)));
        assert_eq!(opening(b"stat\n"), Opening::Word(Question::Word(Word::Stat)));
        assert_eq!(opening(b"srvr"), Opening::Word(Question::Word(Word::Srvr)), "always");
        assert_eq!(opening(b"mntr"), Opening::Word(Question::Refused(Word::Mntr)));
        assert_eq!(opening(b"stmk"), Opening::Word(Question::Refused(Word::Stmk)), "it waits for nothing");
        assert_eq!(opening(b"nope"), Opening::Frame);
        assert_eq!(Words::listed("ruok,*").opening(b"mntr"), Opening::Word(Question::Word(Word::Mntr)));
    }

    #[test]
    fn an_opening_may_be_incomplete() {
        let words = Words::default();
        assert_eq!(words.opening(b"ruo"), Opening::Incomplete);
        assert_eq!(words.opening(b"stm"), Opening::Incomplete);
        assert_eq!(
            words.opening(b"stmk\0\0\0\0\0\0\x01"),
            Opening::Word(Question::SetNothing),
            "the real server does not wait for the rest either"
        );
        assert_eq!(
            words.opening(b"stmk\0\0\0\0\0\0\x01\x3e"),
            Opening::Word(Question::SetTraceMask(0b1_0011_1110))
        );
        assert_eq!(words.opening(&[0, 0, 0, 45]), Opening::Frame);
    }
}
