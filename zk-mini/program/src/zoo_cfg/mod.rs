//! `zoo.cfg`, ZooKeeper's configuration file, and the effect of its keys on zk-mini.

#[cfg(test)]
mod tests;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::listen::{self, Host};
use crate::properties::{self, BadEscape, Property};
use crate::settings::{self, Settings};
use crate::zoo_access::{self, AccessKeys};
use crate::zoo_error::{ConfigError, Remark};
use crate::zoo_http::{HttpKeys, METRICS_KEYS, NO_ADMIN_SERVER, OTHER_PROVIDER, PROVIDER};
use crate::zoo_keys;
use crate::zoo_servers::ServerKeys;
use crate::zoo_throttle::{self, ThrottleKeys};
use crate::zoo_tls::{self, TlsKeys};

/// Contents of a `zoo.cfg`.
#[derive(Debug, Default)]
pub(crate) struct ZooCfg {
    pub(crate) client_port: Option<u16>,
    pub(crate) client_port_address: Option<Host>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) data_log_dir: Option<PathBuf>,
    pub(crate) retain_snapshots: Option<NonZeroUsize>,
    /// True if snapshots are to be purged.
    purges: bool,
    pub(crate) settings: Settings,
    pub(crate) http: HttpKeys,
    pub(crate) access: AccessKeys,
    pub(crate) throttle: ThrottleKeys,
    pub(crate) servers: ServerKeys,
    /// True if changes are to be written to an audit log.
    pub(crate) audits: bool,
    /// True if the servers of an ensemble give sessions of their own, and if these can become sessions of all.
    pub(crate) local_sessions: bool,
    pub(crate) local_session_upgrades: bool,
    pub(crate) tls: TlsKeys,
    /// Remarks on keys for the user, one a key.
    pub(crate) remarks: Vec<Remark>,
}

/// Remark on names that ZooKeeper's documentation has by mistake.
const DOCUMENTED_ONLY: &str =
    "holds here; ZooKeeper itself reads the property beside it in its documentation, connection_throttle_…";

/// Minimum and default of ZooKeeper's number of snapshots to keep when it purges.
const FEWEST_RETAINED: Option<NonZeroUsize> = NonZeroUsize::new(3);

/// Remarks on keys without effect, by their beginning; the first match counts.
const IGNORED: &[(&str, &str)] = &[
    ("ssl.quorum.", "is ignored: all servers are in this process, and nothing passes between them"),
    ("ssl.ciphersuites", "is ignored: the suites are those of rustls"),
    ("ssl.crl", "is ignored: no lists of revoked certificates are asked for"),
    ("ssl.ocsp", "is ignored: nobody is asked whether a certificate is revoked"),
    ("ssl.clientHostnameVerification", "is ignored: a client is known by its certificate, not by its host"),
    ("ssl.", "is ignored: TLS has no such setting here"),
    ("authProvider.", "is ignored: the only providers are those of digest, ip, sasl and, with TLS, x509"),
    (
        "requireClientAuthScheme",
        "is ignored, as by ZooKeeper: sessionRequireClientSASLAuth=true is the key that has this effect",
    ),
    ("kerberos.", "is ignored: there is no Kerberos"),
    ("jaasLoginRenew", "is ignored: it is about Kerberos, which there is not"),
    ("admin.", "is ignored: the AdminServer has no such setting here"),
    ("metricsProvider.", "is ignored: the metrics have no such setting here"),
    ("server.", "is ignored: --servers says how many servers there are"),
    ("dynamicConfigFile", "is ignored: --servers says how many servers there are"),
    ("globalOutstandingLimit", "is ignored: requests are answered as they are read, so none is outstanding"),
    ("audit.impl.class", "is ignored: the audit log is a file with a line of JSON for each change"),
    ("", "is ignored: zk-mini has no such setting"),
];

/// Settings that ZooKeeper takes from `java -D…` only; here, from the file.
const JAVA_ONLY: [&str; 2] = ["jute.maxbuffer", "znode.container.checkIntervalMs"];

/// Entries that ask for the behaviour that zk-mini has anyway; they need no remark.
const FULFILLED: &[(&str, &str)] = &[
    ("standaloneEnabled", "true"),
    ("authProvider.x509", "org.apache.zookeeper.server.auth.X509AuthenticationProvider"),
    ("serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory"),
    ("serverCnxnFactory", "org.apache.zookeeper.server.NIOServerCnxnFactory"),
    ("client.certReload", "true"),
    ("ssl.crl", "false"),
    ("ssl.ocsp", "false"),
    ("ssl.clientHostnameVerification", "false"),
    ("fips-mode", "false"),
];

impl ZooCfg {
    /// Reads a file, for so many servers.
    pub(crate) fn read(file: &Path, servers: usize) -> Result<Self, ConfigError> {
        let text = fs::read(file).map_err(|source| ConfigError::Read { file: file.into(), source })?;
        Self::parse(&text, file, servers)
    }

    /// Parses the text of `file`. The last of several entries with one key counts.
    fn parse(text: &[u8], file: &Path, servers: usize) -> Result<Self, ConfigError> {
        let no_text = |line, what| ConfigError::NoText { file: file.into(), line, what };
        // A byte order mark, as editors on Windows write it.
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let text = String::from_utf8_lossy(text);
        let mut lines = properties::lines(&text).zip(1..);
        if let Some((_, line)) =
            lines.find(|(line, _)| !properties::is_comment(line) && line.contains(is_no_text))
        {
            return Err(no_text(line, "it has control characters, or is not in UTF-8"));
        }
        let properties = properties::parse(&text)
            .map_err(|BadEscape(line)| no_text(line, "\\u is followed by four hexadecimal digits"))?;
        let mut config = Self { servers: ServerKeys::of(servers), ..Self::default() };
        for property in &properties {
            let Property { line, key, value } = property;
            if let Some(meant) = zoo_keys::meant(bare(key)) {
                let (file, line, key) = (file.into(), *line, key.clone());
                return Err(ConfigError::Misspelt { file, line, key, meant });
            }
            config.take(property, file).map_err(|expected| {
                let (line, key, value) = (*line, key.clone(), value.clone());
                ConfigError::Value { file: file.into(), line, key, value, expected }
            })?;
        }
        if config.access.lacks_schemes() {
            return Err(ConfigError::NoSchemes { file: file.into() });
        }
        config.remark_retention(&properties, file);
        config.retain_snapshots = config.retain_snapshots.max(FEWEST_RETAINED).filter(|_| config.purges);
        config.client_port = config.client_port.or_else(|| port_of_a_lone_server(&properties));
        config.remark_unused_metrics(&properties, file);
        config.remark_unused_tls(&properties, file);
        config.settings.tick_as_zookeeper_does();
        config.settings.answer_as_zookeeper_does();
        Ok(config)
    }

    /// Applies one entry; the error names the expected value.
    fn take(&mut self, property: &Property, file: &Path) -> Result<(), &'static str> {
        let value = property.value.as_str();
        let key = bare(&property.key);
        match key {
            "clientPort" => self.client_port = Some(listen::port(value)?),
            "clientPortAddress" => {
                self.client_port_address = Some(value.parse().map_err(|_| "a host or an address")?);
            }
            "dataDir" | "dataLogDir" if value.is_empty() => return Err("a directory"),
            "dataDir" => self.data_dir = Some(value.into()),
            "dataLogDir" => self.data_log_dir = Some(value.into()),
            "autopurge.snapRetainCount" => {
                let count: i32 = value.parse().map_err(|_| "a number of snapshots")?;
                let count = usize::try_from(count).ok().and_then(NonZeroUsize::new);
                self.retain_snapshots = count;
            }
            // In hours; zk-mini purges after each snapshot instead. Zero or less turns purging off.
            "autopurge.purgeInterval" => self.purges = is_some_time(value)?,
            key if self.settings.set(key, value)? => {
                if key == "jute.maxbuffer"
                    && let Some(text) = self.settings.remark_on_frames()
                {
                    self.remark(property, file, text);
                }
                if JAVA_ONLY.contains(&key) {
                    let text = "holds here; ZooKeeper itself takes it from a Java property only";
                    self.remark(property, file, text);
                }
                if key == "snapCount"
                    && let Some(text) = settings::remark_on_snap_count(value)
                {
                    self.remark(property, file, text);
                }
            }
            key if self.http.set(key, value)? => {
                if key == "admin.enableServer" && self.http.has_no_admin_server() {
                    self.remark(property, file, NO_ADMIN_SERVER);
                }
            }
            key if self.access.set(key, value) => {}
            key if self.throttle.set(key, value)? => {
                if zoo_throttle::is_documented_only(key) {
                    self.remark(property, file, DOCUMENTED_ONLY);
                }
            }
            "audit.enable" => self.audits = value.eq_ignore_ascii_case("true"),
            "localSessionsEnabled" => self.local_sessions = zoo_access::switch(value)?,
            "localSessionsUpgradingEnabled" => self.local_session_upgrades = zoo_access::switch(value)?,
            key if self.tls.set(key, value)? || self.servers.set(key, value)? => {}
            key if FULFILLED
                .iter()
                .any(|(fulfilled, v)| *fulfilled == key && v.eq_ignore_ascii_case(value)) => {}
            _ => {
                let text =
                    IGNORED.iter().find(|(begin, _)| key.starts_with(begin)).map_or("", |(_, text)| text);
                self.remark(property, file, text);
            }
        }
        Ok(())
    }

    /// Remarks on a number of snapshots to keep that has no effect, or another one.
    fn remark_retention(&mut self, properties: &[Property], file: &Path) {
        let is_count = |property: &&Property| bare(&property.key) == "autopurge.snapRetainCount";
        let Some(property) = properties.iter().rfind(is_count) else { return };
        if !self.purges {
            let text =
                "has no effect without an autopurge.purgeInterval of 1 or more: all snapshots are kept";
            self.remark(property, file, text);
        } else if self.retain_snapshots < FEWEST_RETAINED {
            self.remark(property, file, "is taken as 3, the least that ZooKeeper keeps");
        }
    }

    /// Remarks on keys of metrics that have no effect without the provider, which may stand below them.
    fn remark_unused_metrics(&mut self, properties: &[Property], file: &Path) {
        if self.http.has_prometheus() {
            return;
        }
        for property in properties {
            match bare(&property.key) {
                PROVIDER if self.http.has_unknown_provider() => self.remark(property, file, OTHER_PROVIDER),
                key if METRICS_KEYS.contains(&key) => {
                    self.remark(
                        property,
                        file,
                        "is ignored: metricsProvider.className is not that of Prometheus",
                    );
                }
                _ => {}
            }
        }
    }

    /// Remarks on the stores of a file that opens no port for TLS.
    fn remark_unused_tls(&mut self, properties: &[Property], file: &Path) {
        if self.tls.has_tls() {
            return;
        }
        for property in properties {
            if matches!(bare(&property.key), "ssl.keyStore.location" | "ssl.trustStore.location") {
                self.remark(property, file, zoo_tls::UNUSED);
            }
        }
    }

    fn remark(&mut self, property: &Property, file: &Path, text: &'static str) {
        if self.remarks.iter().all(|remark| remark.key != property.key) {
            let (file, key) = (file.into(), property.key.clone());
            self.remarks.push(Remark { file, line: property.line, key, text });
        }
    }
}

/// Strips `zookeeper.`: ZooKeeper adds it to unknown keys to make Java properties of them, and people write it, too.
fn bare(key: &str) -> &str {
    key.strip_prefix("zookeeper.").unwrap_or(key)
}

/// Returns true for a control character, or the replacement of invalid UTF-8. Comments may be in any encoding.
fn is_no_text(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\u{c}')) || c == char::REPLACEMENT_CHARACTER
}

/// Parses a number of hours, with a sign or without, or one with a unit, which ZooKeeper takes from 3.10 on. Returns true if it is more
/// than zero.
fn is_some_time(value: &str) -> Result<bool, &'static str> {
    let unit =
        value.find(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '-')).map_or("", |end| &value[end..]);
    let number: i32 = value.strip_suffix(unit).unwrap_or(value).parse().map_err(|_| "a number of hours")?;
    if matches!(unit, "" | "d" | "h" | "m" | "s" | "ms") { Ok(number > 0) } else { Err("a number of hours") }
}

/// The port behind the semicolon of `server.1=host:2888:3888;2181`, where the client port may be written, too.
fn port_of_a_lone_server(properties: &[Property]) -> Option<u16> {
    let mut servers = properties.iter().filter(|property| property.key.starts_with("server."));
    let (server, None) = (servers.next()?, servers.next()) else { return None };
    let (_, client) = server.value.split_once(';')?;
    client.rsplit(':').next()?.trim().parse().ok()
}
