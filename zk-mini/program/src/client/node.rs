//! A node's `Stat` and data, in words and in JSON. The names in JSON are those of zk-mini's `/v1/tree`.

use std::fmt::{self, Display};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zk_client::{SessionId, Stat};
use zk_wire::Utc;

use super::output::is_hidden;

/// `Stat` with ZooKeeper's names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatFields {
    czxid: String,
    mzxid: String,
    ctime: i64,
    mtime: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    ephemeral_owner: String,
    data_length: i32,
    num_children: i32,
    pzxid: String,
}

impl From<&Stat> for StatFields {
    fn from(stat: &Stat) -> Self {
        Self {
            czxid: stat.czxid.to_string(),
            mzxid: stat.mzxid.to_string(),
            ctime: stat.ctime.0,
            mtime: stat.mtime.0,
            version: stat.version.0,
            cversion: stat.cversion.0,
            aversion: stat.aversion.0,
            ephemeral_owner: stat.ephemeral_owner.to_string(),
            data_length: stat.data_length,
            num_children: stat.num_children,
            pzxid: stat.pzxid.to_string(),
        }
    }
}

/// Answer to a write: the node and its `Stat`.
#[derive(Debug, Serialize)]
pub(crate) struct Written<'a> {
    pub(crate) path: &'a str,
    pub(crate) stat: StatFields,
}

/// Data of a node.
#[derive(Debug, Serialize)]
pub(crate) struct DataFields {
    data: String,
    encoding: &'static str,
}

impl From<&[u8]> for DataFields {
    fn from(data: &[u8]) -> Self {
        match std::str::from_utf8(data) {
            Ok(text) => Self { data: text.to_owned(), encoding: "utf8" },
            Err(_) => Self { data: STANDARD.encode(data), encoding: "base64" },
        }
    }
}

/// Returns the last part of a path; `/` for the root.
pub(crate) fn name(path: &str) -> &str {
    path.rsplit_once('/').map(|(_, name)| name).filter(|name| !name.is_empty()).unwrap_or(path)
}

/// Returns the kind of a node, in a word. Servers do not tell containers and nodes with a time to live from persistent ones.
pub(crate) fn kind(stat: &Stat) -> &'static str {
    if stat.ephemeral_owner == SessionId::NONE { "persistent" } else { "ephemeral" }
}

/// `Stat` as a paragraph, and its fields below.
pub(crate) struct StatInWords<'a> {
    pub(crate) path: &'a str,
    pub(crate) stat: &'a Stat,
}

impl Display for StatInWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, stat } = self;
        let (data, children) = (count(stat.data_length, "byte"), count(stat.num_children, "child"));
        match stat.ephemeral_owner {
            SessionId::NONE => write!(f, "{path} is a persistent node")?,
            session => write!(f, "{path} is an ephemeral node of session {session}, and goes with it")?,
        }
        writeln!(f, ". It has {data} of data and {children}.\n")?;
        let mut row = |name: &str, value: &dyn Display, words: &dyn Display| {
            writeln!(f, "{name:<14} {:<24} {words}", value.to_string())
        };
        let (created, changed) = (Utc(stat.ctime), Utc(stat.mtime));
        let (set, below) = (count(stat.version.0, "time"), count(stat.cversion.0, "change"));
        row("czxid", &stat.czxid, &"transaction that created it")?;
        row("ctime", &created, &"time of its creation (UTC)")?;
        row("mzxid", &stat.mzxid, &"transaction that last set its data")?;
        row("mtime", &changed, &"time at which its data was last set (UTC)")?;
        row("version", &stat.version, &format_args!("its data was set {set} since its creation"))?;
        row("pzxid", &stat.pzxid, &"transaction that last created or deleted a child")?;
        row("cversion", &stat.cversion, &format_args!("{below} of its list of children"))?;
        let acl = count(stat.aversion.0, "change");
        row("aversion", &stat.aversion, &format_args!("{acl} of its ACL"))?;
        row("ephemeralOwner", &stat.ephemeral_owner, &kind(stat))?;
        row("dataLength", &stat.data_length, &"bytes of data")?;
        write!(f, "{:<14} {:<24} children", "numChildren", stat.num_children)
    }
}

fn count(count: i32, noun: &str) -> String {
    match (count, noun) {
        (1, noun) => format!("1 {noun}"),
        (count, "child") => format!("{count} children"),
        (count, noun) => format!("{count} {noun}s"),
    }
}

/// Columns of `ls -l` before the name.
pub(crate) struct Columns<'a>(pub(crate) Option<&'a Stat>);

impl Display for Columns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(stat) = self.0 else { return write!(f, "{:<65}", "?") };
        let (kind, changed) = (kind(stat), Utc(stat.mtime));
        let (bytes, children) = (stat.data_length, stat.num_children);
        let version = format!("v{}", stat.version);
        write!(f, "{kind:<10} {version:>6} {bytes:>8} B {children:>6} below  {changed}  ")
    }
}

/// Data on a terminal: text as it is, anything else as numbers.
pub(crate) struct OnTerminal<'a>(pub(crate) &'a [u8]);

impl Display for OnTerminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |text: &&str| text.chars().all(|char| matches!(char, '\n' | '\t') || !is_hidden(char));
        if let Some(text) = std::str::from_utf8(self.0).ok().filter(is_plain) {
            return f.write_str(text.strip_suffix('\n').unwrap_or(text));
        }
        for (row, bytes) in self.0.chunks(16).enumerate() {
            let numbers = bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
            let shown = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
            let text = bytes.iter().map(shown).collect::<String>();
            let end = if (row + 1) * 16 < self.0.len() { "\n" } else { "" };
            write!(f, "{:08x}  {numbers:<48} |{text}|{end}", row * 16)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use zk_client::Version;

    use super::*;

    #[test]
    fn a_stat_is_told_in_words() {
        let stat = Stat { version: Version(1), data_length: 5, ..Stat::default() };
        let text = StatInWords { path: "/a", stat: &stat }.to_string();
        let first = "/a is a persistent node. It has 5 bytes of data and 0 children.\n\n";
        assert!(text.starts_with(first), "{text}");
        assert!(text.contains("its data was set 1 time since its creation"), "{text}");
        assert!(text.contains("1970-01-01 00:00:00.000"), "{text}");
        let stat = Stat { ephemeral_owner: SessionId(0x17), ..stat };
        let text = StatInWords { path: "/a", stat: &stat }.to_string();
        assert!(text.starts_with("/a is an ephemeral node of session 0x17, and goes with it. "), "{text}");
    }

    #[test]
    fn text_is_shown_as_it_is_and_other_data_as_numbers() {
        assert_eq!(OnTerminal("{\n\t\"é\": 1\n}\n".as_bytes()).to_string(), "{\n\t\"é\": 1\n}");
        assert_eq!(OnTerminal(b"").to_string(), "");
        let escape = OnTerminal(b"\x1b[2J").to_string();
        assert_eq!(escape, format!("00000000  {:<48} |.[2J|", "1b 5b 32 4a "));
        assert_eq!(OnTerminal(&[0xff; 17]).to_string().lines().count(), 2);
    }

    #[test]
    fn the_name_is_the_last_part_of_a_path() {
        assert_eq!(["/", "/a", "/a/b"].map(name), ["/", "a", "b"]);
    }
}
