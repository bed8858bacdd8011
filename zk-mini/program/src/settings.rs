//! Settings of a server in one table: the option, the keys of `zoo.cfg`, the effect.

use std::num::NonZeroU64;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use clap::Args;
use zk_mini::Builder;
use zk_mini::Compat;

/// Number of requests, and of other events, that the history keeps unless set: people look at it long afterwards.
const HISTORY: usize = 10_000;

/// Defines the settings. An entry has the option's help, name and type, attributes for clap; the keys of `zoo.cfg` and
/// their parser; and the call of the builder.
macro_rules! settings {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty, ($($arg:tt)*), $keys:expr, $parse:expr, $apply:expr;)*) => {
        /// Settings that were given; all others keep ZooKeeper's defaults.
        #[derive(Args, Clone, Debug, Default)]
        #[command(next_help_heading = "Server options")]
        pub(crate) struct Settings {
            $($(#[doc = $doc])* #[arg(long, $($arg)*)] $name: Option<$type>,)*
        }

        impl Settings {
            /// Takes missing settings from `other`.
            pub(crate) fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name),)* }
            }

            /// Answers only the four-letter words that ZooKeeper answers by default, unless they are set. Returns false if
            /// they are.
            pub(crate) fn answer_as_zookeeper_does(&mut self) -> bool {
                let is_set = self.four_letter_words.is_some();
                self.four_letter_words.get_or_insert_with(|| "srvr".into());
                !is_set
            }

            /// Sets ZooKeeper's tick for a file, unless one is set.
            pub(crate) fn tick_as_zookeeper_does(&mut self) {
                self.tick_ms.get_or_insert(3_000);
            }

            /// Returns the keys of `zoo.cfg` in the table.
            pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
                let keys: &[&[&'static str]] = &[$(&$keys,)*];
                keys.iter().copied().flatten().copied()
            }

            /// Configures a server.
            pub(crate) fn apply(self, builder: Builder) -> Builder {
                let settings = self.with_fast_ones();
                let mut builder = builder.history(HISTORY);
                $(builder = with(builder, settings.$name, $apply);)*
                builder
            }

            /// Sets an entry of `zoo.cfg`. Returns false for a key that is not in the table; the error names the expected value.
            pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, &'static str> {
                $({
                    let keys: &[&str] = &$keys;
                    if keys.contains(&key) {
                        self.$name = Some($parse(value)?);
                        return Ok(true);
                    }
                })*
                Ok(false)
            }
        }
    };
}

settings! {
    /// Ticks of 50 ms, so that sessions may be as short as 100 ms
    ///
    /// A client gets the session timeout that it asks for, from 100 ms (2 ticks) to 40 s:
    /// a client that asks for 10 s gets 10 s, with --fast and without. Those that ask
    /// for less than 4 s no longer get 4 s, and a session ends at most 50 ms after its
    /// timeout, not 2 s. A client that is silent for longer than its timeout, as in a
    /// pause for garbage collection, loses its session: ask for 1 s on a busy machine,
    /// and with kazoo, whose signs of life are up to 0.4 s late, for 0.5 s or more.
    /// The options below set another least and most.
    fast: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
                 conflicts_with = "tick_ms", verbatim_doc_comment),
        // It stands for other settings: see `with_fast_ones`.
        [], switch, |builder, _| builder;

    /// Release line of ZooKeeper to behave like: 3.8 or 3.9 [default: 3.9]
    compat: Compat, (value_name = "LINE", value_parser = compat),
        [], compat, Builder::compat;

    /// Length of a tick, the unit of session timeouts, in milliseconds [default: 2000; with a zoo.cfg 3000; with --fast 50]
    tick_ms: u32, (value_name = "N", value_parser = positive_millis),
        ["tickTime"], positive_millis, |builder, n| builder.tick(millis(n));

    /// Minimum session timeout [default: 2 ticks]
    min_session_timeout_ms: Timeout, (value_name = "N", value_parser = timeout, allow_negative_numbers = true),
        ["minSessionTimeout"], timeout, |builder, timeout| match timeout.0 {
            Some(n) => builder.min_session_timeout(millis(n)),
            None => builder,
        };

    /// Maximum session timeout [default: 20 ticks; with --fast 40000]
    max_session_timeout_ms: Timeout, (value_name = "N", value_parser = timeout, allow_negative_numbers = true),
        ["maxSessionTimeout"], timeout, |builder, timeout| match timeout.0 {
            Some(n) => builder.max_session_timeout(millis(n)),
            None => builder,
        };

    /// Maximum connections from one address; 0 means unlimited [default: 60]
    max_client_cnxns: i32, (value_name = "N", value_parser = connections, allow_negative_numbers = true),
        ["maxClientCnxns"], connections, Builder::max_client_connections;

    /// Maximum connections from all addresses; 0 means unlimited [default: 0]
    max_cnxns: i32, (value_name = "N", value_parser = connections, allow_negative_numbers = true),
        ["maxCnxns"], connections, Builder::max_connections;

    /// Maximum connections that wait to be accepted; -1 is 4096 [default: -1]
    listen_backlog: i32, (value_name = "N", value_parser = backlog, allow_negative_numbers = true),
        ["clientPortListenBacklog"], backlog, Builder::listen_backlog;

    /// Maximum length of a request in bytes, 45 to 512 MiB; replies may be longer [default: 1048575]
    jute_max_buffer: usize, (value_name = "BYTES", value_parser = frame),
        ["jute.maxbuffer"], bytes, Builder::jute_max_buffer;

    /// Bytes that a transaction may be longer than the longest request [default: the longest request]
    jute_max_buffer_extra_size: usize, (value_name = "BYTES", value_parser = bytes),
        ["jute.maxbuffer.extrasize"], bytes, Builder::jute_max_buffer_extra_size;

    /// Maximum identities that a connection may add [default: 100]
    max_auth_ids: usize, (value_name = "N", value_parser = count),
        [], count, Builder::max_auth_ids;

    /// Maximum bytes of all identities of a connection [default: 16384]
    max_auth_id_bytes: usize, (value_name = "BYTES", value_parser = count),
        [], count, Builder::max_auth_id_bytes;

    /// Maximum entries of an access control list [default: 32768]
    max_acl_entries: usize, (value_name = "N", value_parser = count),
        [], count, Builder::max_acl_entries;

    /// Maximum watches of a connection [default: 2000000]
    max_watches: usize, (value_name = "N", value_parser = count),
        [], count, Builder::max_watches;

    /// Maximum bytes of the paths of all watches of a connection [default: 268435456]
    max_watch_bytes: usize, (value_name = "BYTES", value_parser = count),
        [], count, Builder::max_watch_bytes;

    /// Requests, and other events, that the history keeps, each up to 1 KB; 0 turns it off [default: 10000]
    history: usize, (value_name = "N", value_parser = count),
        [], count, Builder::history;

    /// Four-letter words to answer, separated by commas; * is all [default: *; with a zoo.cfg, or beyond loopback, srvr]
    four_letter_words: String, (value_name = "WORDS"),
        ["4lw.commands.whitelist"], text, |builder, words| builder.four_letter_words(&words);

    /// Allow nodes with a time to live
    extended_types: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        ["extendedTypesEnabled"], is_true, Builder::extended_types;

    /// Milliseconds between checks of containers and TTL nodes [default: 60000]
    container_check_interval_ms: u32, (value_name = "N", value_parser = positive_millis),
        ["znode.container.checkIntervalMs"], positive_millis, |builder, n| builder.container_check_interval(millis(n));

    /// Digest identity that may do everything, such as super:HASH, with the Base64 of the SHA-1 of super:PASSWORD
    super_digest: String, (value_name = "ID", value_parser = digest_id),
        ["DigestAuthenticationProvider.superDigest"], text, Builder::super_digest;

    /// Store access control lists without checking them
    skip_acl: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        ["skipACL"], is_yes, Builder::skip_acl;

    /// Refuse writes beyond a quota; without this, usage is only counted
    enforce_quota: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        ["enforceQuota"], is_true, Builder::enforce_quota;

    /// Transactions between snapshots [default: 100000]
    snap_count: NonZeroU64, (value_name = "N", value_parser = transactions),
        ["snapCount"], snap_count, Builder::snap_count;

    /// Bytes by which a transaction log is extended at a time [default: 67108864]
    pre_alloc_size: NonZeroU64, (value_name = "BYTES", value_parser = block),
        ["preAllocSize"], kilobytes, Builder::pre_alloc_size;

    /// Make session passwords with a secret in the data directory; Apache ZooKeeper cannot take over such sessions
    private_sessions: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        [], switch, Builder::private_sessions;

    /// Let clients change the members of an ensemble by reconfig; a single server has none to change
    reconfig_enabled: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        ["reconfigEnabled"], switch, Builder::reconfig_enabled;
}

/// Tick of `--fast`, in milliseconds.
const FAST_TICK: u32 = 50;

/// Maximum session timeout of `--fast`, in milliseconds: twenty ticks of the usual length, since twenty of the short ones
/// would cut the timeouts of clients that do not ask for short ones.
const LONGEST_TIMEOUT: u32 = 40_000;

impl Settings {
    /// Warns of a setting that has no effect on a server in memory.
    pub(crate) fn remark_on_memory(&self, has_data_dir: bool) {
        if self.private_sessions == Some(true) && !has_data_dir {
            tracing::warn!(
                "--private-sessions has no effect without --data-dir: a server in memory always has a secret of its own"
            );
        }
    }

    /// Returns true if the history is turned off.
    pub(crate) fn keeps_no_history(&self) -> bool {
        self.history == Some(0)
    }

    /// Returns an option that was given and is about files only.
    pub(crate) fn about_files(&self) -> Option<&'static str> {
        self.pre_alloc_size.map(|_| "--pre-alloc-size")
    }

    /// Returns a remark on a length of the longest frame that is taken as another one.
    pub(crate) fn remark_on_frames(&self) -> Option<&'static str> {
        match self.jute_max_buffer? {
            ..Builder::MIN_JUTE_MAX_BUFFER => Some("is taken as 45, the length of the request for a session"),
            Builder::MIN_JUTE_MAX_BUFFER..=Builder::MAX_JUTE_MAX_BUFFER => None,
            _ => Some("is taken as 536870912, which are 512 MiB, the most that a frame has"),
        }
    }

    /// Sets what `--fast` stands for. A tick of a file gives way to it.
    fn with_fast_ones(mut self) -> Self {
        if self.fast == Some(true) {
            self.tick_ms = Some(FAST_TICK);
            let longest = self.max_session_timeout_ms.and_then(|timeout| timeout.0);
            self.max_session_timeout_ms = Some(Timeout(longest.or(Some(LONGEST_TIMEOUT))));
        }
        self
    }
}

const KILO: NonZeroU64 = NonZeroU64::new(1024).unwrap();

/// Number of transactions between snapshots where ZooKeeper reads no number.
const USUAL_SNAP_COUNT: NonZeroU64 = NonZeroU64::new(100_000).unwrap();

/// Minimum of transactions between snapshots, to ZooKeeper.
const LEAST_SNAP_COUNT: NonZeroU64 = NonZeroU64::new(2).unwrap();

/// A session timeout; `None` is the default, -1 in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Timeout(Option<u32>);

fn with<T>(builder: Builder, value: Option<T>, apply: impl FnOnce(Builder, T) -> Builder) -> Builder {
    match value {
        Some(value) => apply(builder, value),
        None => builder,
    }
}

fn millis(n: u32) -> Duration {
    Duration::from_millis(n.into())
}

/// Length of a SHA-1 in bytes.
const SHA1: usize = 20;

/// Parses USER:HASH; no client could authenticate as anything else.
fn digest_id(value: &str) -> Result<String, &'static str> {
    let is_hash = |hash| BASE64_STANDARD.decode(hash).is_ok_and(|hash| hash.len() == SHA1);
    match value.split_once(':') {
        Some((user, hash)) if !user.is_empty() && is_hash(hash) => Ok(value.to_owned()),
        _ => Err("USER:HASH, where HASH is the Base64 of the SHA-1 of USER:PASSWORD, 28 characters, as \
                  `printf %s USER:PASSWORD | openssl sha1 -binary | base64` prints it"),
    }
}

fn compat(value: &str) -> Result<Compat, &'static str> {
    match value {
        "3.8" => Ok(Compat::V3_8),
        "3.9" => Ok(Compat::V3_9),
        _ => Err("3.8 or 3.9"),
    }
}

fn positive_millis(value: &str) -> Result<u32, &'static str> {
    value.parse().ok().filter(|n| *n > 0).ok_or("a number of milliseconds, 1 or more")
}

fn timeout(value: &str) -> Result<Timeout, &'static str> {
    if value == "-1" {
        return Ok(Timeout(None));
    }
    let n = value.parse().map_err(|_| "a number of milliseconds, or -1 for the default")?;
    Ok(Timeout(Some(n)))
}

/// Parses a number as ZooKeeper does: a negative one means unlimited, too.
fn connections(value: &str) -> Result<i32, &'static str> {
    value.parse().map_err(|_| "a number of connections, or 0 for no limit")
}

fn backlog(value: &str) -> Result<i32, &'static str> {
    value.parse().map_err(|_| "a number of connections, or -1 for the default")
}

fn count(value: &str) -> Result<usize, &'static str> {
    value.parse().map_err(|_| "a number, 0 or more")
}

fn transactions(value: &str) -> Result<NonZeroU64, &'static str> {
    value.parse().map_err(|_| "a number of transactions, 1 or more")
}

/// Parses a number of transactions as ZooKeeper does: fewer than two are two, and what is no number is the default.
#[expect(clippy::unnecessary_wraps, reason = "it stands in a table with others that can fail")]
fn snap_count(value: &str) -> Result<NonZeroU64, &'static str> {
    let Some(count) = decode(value) else { return Ok(USUAL_SNAP_COUNT) };
    let count = u64::try_from(count).ok().and_then(NonZeroU64::new);
    Ok(count.map_or(LEAST_SNAP_COUNT, |count| count.max(LEAST_SNAP_COUNT)))
}

/// Returns a remark on a number of transactions that is taken as another one.
pub(crate) fn remark_on_snap_count(value: &str) -> Option<&'static str> {
    match decode(value) {
        None => Some("is taken as 100000, as by ZooKeeper: it must be a number up to 2147483647"),
        Some(..2) => Some("is taken as 2, the least that ZooKeeper takes"),
        Some(_) => None,
    }
}

fn block(value: &str) -> Result<NonZeroU64, &'static str> {
    value.parse().map_err(|_| "a number of bytes, 1 or more")
}

/// Parses kilobytes, the unit of this key in ZooKeeper.
fn kilobytes(value: &str) -> Result<NonZeroU64, &'static str> {
    let kilobytes: Option<NonZeroU64> = value.parse().ok();
    kilobytes.and_then(|n| n.checked_mul(KILO)).ok_or("a number of kilobytes, 1 or more")
}

/// Parses the length of the longest frame. A file may name a shorter or a longer one, as it may for ZooKeeper.
fn frame(value: &str) -> Result<usize, &'static str> {
    bytes(value)
        .ok()
        .filter(|bytes| (Builder::MIN_JUTE_MAX_BUFFER..=Builder::MAX_JUTE_MAX_BUFFER).contains(bytes))
        .ok_or("a number of bytes, from 45, the length of the request for a session, up to 536870912, which are 512 MiB")
}

/// Parses a number of bytes. The length of a frame has 31 bits.
fn bytes(value: &str) -> Result<usize, &'static str> {
    let parsed = decode(value).and_then(|n| usize::try_from(n).ok());
    parsed.ok_or("a number of bytes, up to 2147483647")
}

/// Decodes an integer as Java does (`Integer.decode`): decimal, hexadecimal after `0x` or `#`, octal after `0`.
fn decode(value: &str) -> Option<i32> {
    let (sign, number) = match value.as_bytes().first()? {
        b'-' => ("-", &value[1..]),
        b'+' => ("", &value[1..]),
        _ => ("", value),
    };
    let hexadecimal = ["0x", "0X", "#"].into_iter().find_map(|prefix| number.strip_prefix(prefix));
    let octal = number.strip_prefix('0').filter(|digits| !digits.is_empty());
    let (digits, radix) = match (hexadecimal, octal) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) => (digits, 8),
        (None, None) => (number, 10),
    };
    // One sign, and before the prefix.
    let is_number = digits.starts_with(|c: char| c.is_digit(radix));
    is_number.then(|| i32::from_str_radix(&format!("{sign}{digits}"), radix).ok()).flatten()
}

fn text(value: &str) -> Result<String, &'static str> {
    Ok(value.into())
}

fn switch(value: &str) -> Result<bool, &'static str> {
    value.to_ascii_lowercase().parse().map_err(|_| "true or false")
}

/// Parses a switch as ZooKeeper reads a Java property: any value but `true` is false.
#[expect(clippy::unnecessary_wraps, reason = "it stands in a table with others that can fail")]
fn is_true(value: &str) -> Result<bool, &'static str> {
    Ok(value.eq_ignore_ascii_case("true"))
}

/// Parses this switch as ZooKeeper does: any value but `yes` is false.
#[expect(clippy::unnecessary_wraps, reason = "it stands in a table with others that can fail")]
fn is_yes(value: &str) -> Result<bool, &'static str> {
    Ok(value == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_decoded_as_by_java() {
        for (value, decoded) in [
            ("9", 9),
            ("+2", 2),
            ("-5", -5),
            ("0", 0),
            ("00", 0),
            ("0x10", 16),
            ("0XfF", 255),
            ("#1f", 31),
            ("-#1f", -31),
            ("020", 16),
            ("-020", -16),
            ("2147483647", i32::MAX),
            ("-2147483648", i32::MIN),
        ] {
            assert_eq!(decode(value), Some(decoded), "{value}");
        }
        for value in
            ["", "many", "1e5", "--5", "+-5", "0x-5", "0x", "08", "0xg", "2147483648", "1 0", " 1", "é"]
        {
            assert_eq!(decode(value), None, "{value}");
        }
    }
}
