//! ZooKeeper's four-letter words. A connection that begins with one gets an answer in text, and is closed.
//!
//! Each file formats the answers about one set of figures. Layout and keys are those of the real server, so that its
//! tools can read them. A new word takes a line in the table below, an arm in `shell/words.rs`, and its text here.

pub(crate) mod clients;
pub(crate) mod conf;
mod date;
pub(crate) mod dirs;
pub(crate) mod dump;
pub(crate) mod envi;
pub(crate) mod mntr;
pub(crate) mod server;
pub(crate) mod watches;

use std::fmt;

macro_rules! words {
    ($($name:ident = $word:literal, $doc:literal;)*) => {
        /// A four-letter word.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum FourLetterWord {
            $(#[doc = $doc] $name,)*
        }

        impl FourLetterWord {
            const ALL: &[(Self, &'static str)] = &[$((Self::$name, $word),)*];
        }
    };
}

words! {
    Conf = "conf", "The configuration.";
    Cons = "cons", "Every figure of every connection.";
    Crst = "crst", "Resets the counters of the connections.";
    Dirs = "dirs", "The size of the data directory.";
    Dump = "dump", "Sessions with their ephemeral nodes, and connections, by the time of their expiry.";
    Envi = "envi", "The machine and the user.";
    Gtmk = "gtmk", "The trace mask.";
    Hash = "hash", "Digests of the tree.";
    Isro = "isro", "The mode: `rw` or `ro`.";
    Mntr = "mntr", "Figures for monitoring, one to a line.";
    Ruok = "ruok", "A sign of life.";
    Srst = "srst", "Resets the counters of the server.";
    Srvr = "srvr", "The server in a few lines.";
    Stat = "stat", "The server in a few lines, and its connections.";
    Stmk = "stmk", "Sets the trace mask to the eight bytes that follow.";
    Wchc = "wchc", "Watches by session.";
    Wchp = "wchp", "Watches by path.";
    Wchs = "wchs", "Numbers of watches.";
}

impl fmt::Display for FourLetterWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(word, _)| word == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// ZooKeeper's trace mask unless a client sets it.
pub(crate) const DEFAULT_TRACE_MASK: i64 = 0b1_0011_0010;

/// The words that are answered (`4lw.commands.whitelist`); by default all.
#[derive(Clone, Debug)]
pub(crate) struct Whitelist(u32);

/// A word with its argument.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WordRequest {
    /// A word that is not in the whitelist.
    Refused(FourLetterWord),
    /// A word to answer.
    Allowed(FourLetterWord),
    SetTraceMask(i64),
    /// `stmk` without a mask: the connection ends without an answer.
    SetNothing,
}

impl Whitelist {
    /// Returns the words in a list with commas; a `*` means all. As in ZooKeeper, unknown words are passed over, and `srvr`
    /// is always answered.
    pub(crate) fn listed(list: &str) -> Self {
        let mut words = Self(0);
        for item in list.split(',').map(str::trim) {
            if item == "*" {
                return Self::default();
            }
            words.0 |= FourLetterWord::ALL
                .iter()
                .filter(|(_, name)| *name == item)
                .fold(0, |all, (word, _)| all | bit(*word));
        }
        words.0 |= bit(FourLetterWord::Srvr);
        words
    }

    /// Returns the entries of such a list that are no words.
    pub(crate) fn unknown(list: &str) -> impl Iterator<Item = &str> {
        let is_known = |item: &str| item == "*" || FourLetterWord::ALL.iter().any(|(_, name)| *name == item);
        list.split(',').map(str::trim).filter(move |item| !item.is_empty() && !is_known(item))
    }

    /// Reads a word from the first four bytes, and its argument from the `rest`; `None` if the bytes are no word.
    pub(crate) fn request(&self, first: &[u8; 4], rest: &[u8]) -> Option<WordRequest> {
        let (word, _) = FourLetterWord::ALL.iter().find(|(_, name)| name.as_bytes() == first)?;
        Some(match word {
            word if self.0 & bit(*word) == 0 => WordRequest::Refused(*word),
            FourLetterWord::Stmk => match rest.first_chunk() {
                Some(mask) => WordRequest::SetTraceMask(i64::from_be_bytes(*mask)),
                None => WordRequest::SetNothing,
            },
            word => WordRequest::Allowed(*word),
        })
    }
}

impl Default for Whitelist {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

fn bit(word: FourLetterWord) -> u32 {
    1 << (word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_zookeeper_reads_it() {
        let words = Whitelist::listed(" ruok, stat,nope");
        let request = |word: &[u8; 4]| words.request(word, b"\n");
        assert_eq!(request(b"ruok"), Some(WordRequest::Allowed(FourLetterWord::Ruok)));
        assert_eq!(request(b"stat"), Some(WordRequest::Allowed(FourLetterWord::Stat)));
        assert_eq!(request(b"srvr"), Some(WordRequest::Allowed(FourLetterWord::Srvr)), "always");
        assert_eq!(request(b"mntr"), Some(WordRequest::Refused(FourLetterWord::Mntr)));
        assert_eq!(
            request(b"stmk"),
            Some(WordRequest::Refused(FourLetterWord::Stmk)),
            "it waits for no argument"
        );
        assert_eq!(request(b"nope"), None);
        assert_eq!(
            Whitelist::listed("ruok,*").request(b"mntr", b""),
            Some(WordRequest::Allowed(FourLetterWord::Mntr))
        );
    }
}
