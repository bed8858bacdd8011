//! What can be set about a server, in one table: by an option, by keys of `zoo.cfg`, and what it does.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use zk_mini::Builder;
use zk_mini::core::Compat;

/// Each entry: the option's help, its name and type, how clap reads it; the keys of `zoo.cfg`, how they are read;
/// what it does to a server.
macro_rules! settings {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty, ($($arg:tt)*), $keys:expr, $parse:expr, $apply:expr;)*) => {
        /// What is set about a server; the rest is as ZooKeeper has it.
        #[derive(Args, Clone, Debug, Default)]
        #[command(next_help_heading = "Server options")]
        pub(crate) struct Settings {
            $($(#[doc = $doc])* #[arg(long, $($arg)*)] $name: Option<$type>,)*
        }

        impl Settings {
            /// These, and where one is missing, the other's.
            pub(crate) fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name),)* }
            }

            /// Answers only the four-letter words that ZooKeeper answers unless it is told. `false` if they have been set.
            pub(crate) fn answer_as_zookeeper_does(&mut self) -> bool {
                let is_set = self.four_letter_words.is_some();
                self.four_letter_words.get_or_insert_with(|| "srvr".into());
                !is_set
            }

            /// The tick of a file that does not set one, as ZooKeeper has it.
            pub(crate) fn tick_as_zookeeper_does(&mut self) {
                self.tick_ms.get_or_insert(3_000);
            }

            /// Returns the keys of `zoo.cfg` that have a place here.
            pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
                let keys: &[&[&'static str]] = &[$(&$keys,)*];
                keys.iter().copied().flatten().copied()
            }

            /// A server that is to be like this.
            pub(crate) fn apply(self, mut builder: Builder) -> Builder {
                $(builder = with(builder, self.$name, $apply);)*
                builder
            }

            /// Takes an entry of `zoo.cfg`. Whether it has a place here; the error is what the value has to be.
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
    /// The release line of ZooKeeper to be like: 3.8 or 3.9 [default: 3.9]
    compat: Compat, (value_name = "LINE", value_parser = compat),
        [], compat, Builder::compat;

    /// Milliseconds to a tick, the unit of session expiry [default: 2000; with a zoo.cfg 3000]
    tick_ms: u32, (value_name = "N", value_parser = positive_millis),
        ["tickTime"], positive_millis, |builder, n| builder.tick(millis(n));

    /// The shortest session timeout that a client gets [default: 2 ticks]
    min_session_timeout_ms: Timeout, (value_name = "N", value_parser = timeout, allow_negative_numbers = true),
        ["minSessionTimeout"], timeout, |builder, timeout| match timeout.0 {
            Some(n) => builder.min_session_timeout(millis(n)),
            None => builder,
        };

    /// The longest session timeout that a client gets [default: 20 ticks]
    max_session_timeout_ms: Timeout, (value_name = "N", value_parser = timeout, allow_negative_numbers = true),
        ["maxSessionTimeout"], timeout, |builder, timeout| match timeout.0 {
            Some(n) => builder.max_session_timeout(millis(n)),
            None => builder,
        };

    /// Connections that one address may have; 0 is no limit [default: 60]
    max_client_cnxns: i32, (value_name = "N", value_parser = connections, allow_negative_numbers = true),
        ["maxClientCnxns"], connections, Builder::max_client_connections;

    /// Connections that may wait to be accepted; -1 is the default, 4096 [default: -1]
    listen_backlog: i32, (value_name = "N", value_parser = backlog, allow_negative_numbers = true),
        ["clientPortListenBacklog"], backlog, Builder::listen_backlog;

    /// The longest request in bytes, up to 512 MiB; replies may be longer [default: 1048575]
    jute_max_buffer: usize, (value_name = "BYTES", value_parser = bytes),
        ["jute.maxbuffer"], bytes, Builder::jute_max_buffer;

    /// Bytes that a transaction may be longer than a request [default: as many as the longest request]
    jute_max_buffer_extra_size: usize, (value_name = "BYTES", value_parser = bytes),
        ["jute.maxbuffer.extrasize"], bytes, Builder::jute_max_buffer_extra_size;

    /// Identities that a connection may add [default: 100]
    max_auth_ids: usize, (value_name = "N", value_parser = count),
        [], count, Builder::max_auth_ids;

    /// Bytes of all identities of a connection [default: 16384]
    max_auth_id_bytes: usize, (value_name = "BYTES", value_parser = count),
        [], count, Builder::max_auth_id_bytes;

    /// Entries of an access control list [default: 32768]
    max_acl_entries: usize, (value_name = "N", value_parser = count),
        [], count, Builder::max_acl_entries;

    /// Watches of a connection [default: 2000000]
    max_watches: usize, (value_name = "N", value_parser = count),
        [], count, Builder::max_watches;

    /// Bytes of the paths of all watches of a connection [default: 268435456]
    max_watch_bytes: usize, (value_name = "BYTES", value_parser = count),
        [], count, Builder::max_watch_bytes;

    /// Four-letter words that are answered, with commas; * is all [default: *; with a zoo.cfg, or beyond this machine, srvr]
    four_letter_words: String, (value_name = "WORDS"),
        ["4lw.commands.whitelist"], text, |builder, words| builder.four_letter_words(&words);

    /// Allow nodes with a time to live
    extended_types: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        ["extendedTypesEnabled"], is_true, Builder::extended_types;

    /// How often containers and nodes with a time to live are looked at [default: 60000]
    container_check_interval_ms: u32, (value_name = "N", value_parser = positive_millis),
        ["znode.container.checkIntervalMs"], positive_millis, |builder, n| builder.container_check_interval(millis(n));

    /// The digest id that may do everything, such as super:HASH
    super_digest: String, (value_name = "ID", value_parser = digest_id),
        ["DigestAuthenticationProvider.superDigest"], text, Builder::super_digest;

    /// Keep access control lists, but do not check them
    skip_acl: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        ["skipACL"], is_yes, Builder::skip_acl;

    /// Refuse writes over a quota rather than just count
    enforce_quota: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        ["enforceQuota"], is_true, Builder::enforce_quota;

    /// Transactions until the next snapshot of a data directory [default: 100000]
    snap_count: NonZeroU64, (value_name = "N", value_parser = transactions),
        ["snapCount"], transactions, Builder::snap_count;

    /// Bytes that the log of a data directory grows by at a time [default: 67108864]
    pre_alloc_size: NonZeroU64, (value_name = "BYTES", value_parser = block),
        ["preAllocSize"], kilobytes, Builder::pre_alloc_size;

    /// Make session passwords with a secret in the data directory: Apache ZooKeeper cannot go on with the sessions
    private_sessions: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        [], switch, Builder::private_sessions;

    /// Answer a reconfig with "unimplemented", not "disabled"
    reconfig_enabled: bool, (value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"),
        ["reconfigEnabled"], switch, Builder::reconfig_enabled;
}

const KILO: NonZeroU64 = NonZeroU64::new(1024).unwrap();

/// A session timeout; none is the default, -1 in a file.
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

/// Another could never be shown by anybody.
fn digest_id(value: &str) -> Result<String, &'static str> {
    match value.split_once(':') {
        Some((user, hash)) if !user.is_empty() && !hash.is_empty() => Ok(value.to_owned()),
        _ => Err("USER:HASH, where HASH is the Base64 of the SHA-1 of USER:PASSWORD"),
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

/// As ZooKeeper reads it: less than nothing is no limit, too.
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

fn block(value: &str) -> Result<NonZeroU64, &'static str> {
    value.parse().map_err(|_| "a number of bytes, 1 or more")
}

/// As ZooKeeper has it in this place.
fn kilobytes(value: &str) -> Result<NonZeroU64, &'static str> {
    let kilobytes: Option<NonZeroU64> = value.parse().ok();
    kilobytes.and_then(|n| n.checked_mul(KILO)).ok_or("a number of kilobytes, 1 or more")
}

/// As Java decodes an integer: decimal, or hexadecimal after `0x`. No frame can be longer than 31 bits say.
fn bytes(value: &str) -> Result<usize, &'static str> {
    let parsed = match value.strip_prefix("0x").or(value.strip_prefix("0X")) {
        Some(digits) => i32::from_str_radix(digits, 16),
        None => value.parse(),
    };
    parsed.ok().and_then(|n| usize::try_from(n).ok()).ok_or("a number of bytes, up to 2147483647")
}

fn text(value: &str) -> Result<String, &'static str> {
    Ok(value.into())
}

fn switch(value: &str) -> Result<bool, &'static str> {
    value.to_ascii_lowercase().parse().map_err(|_| "true or false")
}

/// As ZooKeeper reads a Java property: whatever is not `true` is false.
#[expect(clippy::unnecessary_wraps, reason = "it stands in a table with others that can fail")]
fn is_true(value: &str) -> Result<bool, &'static str> {
    Ok(value.eq_ignore_ascii_case("true"))
}

/// As ZooKeeper reads this one.
#[expect(clippy::unnecessary_wraps, reason = "it stands in a table with others that can fail")]
fn is_yes(value: &str) -> Result<bool, &'static str> {
    Ok(value == "yes")
}
