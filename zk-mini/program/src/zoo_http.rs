//! Keys of `zoo.cfg` that open HTTP ports: those of the AdminServer, and of the provider of metrics for Prometheus.

use zk_mini_http::Face;

use crate::http_options::Part;
use crate::listen::{Host, port};

/// ZooKeeper's provider of metrics for Prometheus.
const PROMETHEUS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

/// ZooKeeper's provider of metrics unless set: `mntr` shows them.
const PLAIN: &str = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider";

/// Remark on other providers.
pub(crate) const OTHER_PROVIDER: &str = "is ignored: the only other provider is org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

/// Key of the provider.
pub(crate) const PROVIDER: &str = "metricsProvider.className";

/// Remark on an AdminServer that is switched off.
pub(crate) const NO_ADMIN_SERVER: &str = "closes no port but that of the AdminServer: HTTP stays on the ZooKeeper port unless `--http off` is given";

/// Keys that have no effect without the provider for Prometheus.
pub(crate) const METRICS_KEYS: [&str; 2] = ["metricsProvider.httpHost", "metricsProvider.httpPort"];

/// Defines the keys. An entry has the name and type, the key, and its parser.
macro_rules! keys {
    ($($name:ident: $type:ty, $key:literal, $parse:expr;)*) => {
        /// Keys that were set; all others keep ZooKeeper's defaults.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct HttpKeys {
            $($name: Option<$type>,)*
        }

        impl HttpKeys {
            /// Sets an entry. Returns false for a key that is not in the table; the error names the expected value.
            pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, &'static str> {
                match key {
                    $($key => self.$name = Some($parse(value)?),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

keys! {
    enable_server: bool, "admin.enableServer", is_not_false;
    server_address: Host, "admin.serverAddress", host;
    server_port: u16, "admin.serverPort", port;
    command_url: String, "admin.commandURL", url;
    provider: Provider, "metricsProvider.className", provider;
    http_host: Host, "metricsProvider.httpHost", host;
    http_port: u16, "metricsProvider.httpPort", port;
}

/// Provider of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Provider {
    Prometheus,
    Plain,
    Unknown,
}

/// Port that a file asks for.
#[derive(Clone, Debug)]
pub(crate) struct AdminPort {
    /// Parts that are served there, and how to have them elsewhere or not at all, in messages.
    pub(crate) what: &'static str,
    pub(crate) advice: &'static str,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) face: Face,
    /// The part that the face shows.
    pub(crate) part: Part,
}

impl HttpKeys {
    /// Returns true if the AdminServer is switched off.
    pub(crate) fn has_no_admin_server(&self) -> bool {
        self.enable_server == Some(false)
    }

    /// Returns true if a provider is set that exists.
    pub(crate) fn has_prometheus(&self) -> bool {
        self.provider == Some(Provider::Prometheus)
    }

    /// Returns true if a provider is set that does not exist here.
    pub(crate) fn has_unknown_provider(&self) -> bool {
        self.provider == Some(Provider::Unknown)
    }

    /// Returns the ports to open. A file that does not speak of the AdminServer gets none, unlike in ZooKeeper. Without an
    /// address a port is on loopback only, as the client port is.
    pub(crate) fn ports(&self) -> Vec<AdminPort> {
        let Self { enable_server, server_address, server_port, command_url, http_host, http_port, .. } = self;
        let is_named = enable_server.is_some()
            || server_address.is_some()
            || server_port.is_some()
            || command_url.is_some();
        let commands = command_url.clone().unwrap_or_else(|| "/commands".into());
        let admin = AdminPort {
            what: "the AdminServer",
            advice: "set admin.serverPort to another port, or admin.enableServer to false",
            host: server_address.clone().unwrap_or_default(),
            port: server_port.unwrap_or(8080),
            face: Face::Admin { commands: Some(commands), metrics: false },
            part: Part::Commands,
        };
        let metrics = AdminPort {
            what: "the metrics for Prometheus",
            advice: "set metricsProvider.httpPort to another port, or leave metricsProvider.className out",
            host: http_host.clone().unwrap_or_default(),
            port: http_port.unwrap_or(7000),
            face: Face::Admin { commands: None, metrics: true },
            part: Part::Metrics,
        };
        let admin = Some(admin).filter(|_| is_named && enable_server.unwrap_or(true));
        admin.into_iter().chain(Some(metrics).filter(|_| self.has_prometheus())).collect()
    }
}

/// Parses this switch as ZooKeeper does: any value but `false` is true.
#[expect(clippy::unnecessary_wraps, reason = "it stands in a table with others that can fail")]
fn is_not_false(value: &str) -> Result<bool, &'static str> {
    Ok(!value.eq_ignore_ascii_case("false"))
}

fn host(value: &str) -> Result<Host, &'static str> {
    value.parse().map_err(|_| "a host or an address")
}

fn url(value: &str) -> Result<String, &'static str> {
    let path = value.strip_suffix('/').unwrap_or(value);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let is_path =
        path.starts_with('/') && path.len() > 1 && !path.contains("//") && path.chars().all(is_plain);
    if is_path { Ok(path.into()) } else { Err("the path of a URL, such as /commands") }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in a table with others that can fail")]
fn provider(value: &str) -> Result<Provider, &'static str> {
    Ok(match value {
        PROMETHEUS => Provider::Prometheus,
        PLAIN => Provider::Plain,
        _ => Provider::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(entries: &[(&str, &str)]) -> Vec<(&'static str, Host, u16, Face)> {
        let mut keys = HttpKeys::default();
        for (key, value) in entries {
            assert_eq!(keys.set(key, value), Ok(true), "{key}={value}");
        }
        keys.ports().into_iter().map(|port| (port.what, port.host, port.port, port.face)).collect()
    }

    fn commands(path: &str) -> Face {
        Face::Admin { commands: Some(path.into()), metrics: false }
    }

    #[test]
    fn any_key_of_the_admin_server_opens_it_with_zookeepers_defaults() {
        let on = |port, path| vec![("the AdminServer", Host::Loopback, port, commands(path))];
        assert_eq!(ports(&[("admin.enableServer", "true")]), on(8080, "/commands"));
        assert_eq!(ports(&[("admin.serverPort", "0")]), on(0, "/commands"));
        assert_eq!(ports(&[("admin.commandURL", "/a/b/")]), on(8080, "/a/b"));
        let address = ports(&[("admin.serverAddress", "0.0.0.0")]);
        assert_eq!(address[0].1, Host::Ip([0, 0, 0, 0].into()));
        assert_eq!(ports(&[("admin.serverPort", "8080"), ("admin.enableServer", "false")]), []);
        assert_eq!(ports(&[]), []);
    }

    #[test]
    fn metrics_have_a_port_with_the_provider_for_prometheus_only() {
        let metrics = Face::Admin { commands: None, metrics: true };
        let on = |port| vec![("the metrics for Prometheus", Host::Loopback, port, metrics.clone())];
        assert_eq!(ports(&[("metricsProvider.className", PROMETHEUS)]), on(7000));
        assert_eq!(
            ports(&[("metricsProvider.className", PROMETHEUS), ("metricsProvider.httpPort", "0")]),
            on(0)
        );
        for other in [PLAIN, "org.x.Y"] {
            assert_eq!(ports(&[("metricsProvider.className", other), ("metricsProvider.httpPort", "0")]), []);
        }
    }

    #[test]
    fn a_bad_value_is_an_error_that_names_the_right_form() {
        for (key, value) in [
            ("admin.serverPort", "many"),
            ("admin.serverPort", "-1"),
            ("admin.serverAddress", "not a host"),
            ("admin.commandURL", "commands"),
            ("admin.commandURL", "/"),
            ("admin.commandURL", "/{x}"),
            ("admin.commandURL", "//host"),
            ("metricsProvider.httpPort", "70000"),
        ] {
            assert!(HttpKeys::default().set(key, value).is_err(), "{key}={value}");
        }
    }
}
