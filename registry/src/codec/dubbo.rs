//! The format of Apache Dubbo's providers: URLs in the names of nodes. Read only.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::base::Base;
use super::{Codec, Naming, Published};
use crate::instance::{Instance, InstanceError};
use crate::service::NameError;
use crate::status::Status;

/// Between the protocol and the address, as it is encoded in a node's name.
const ENCODED_SEPARATOR: &str = "%3A%2F%2F";
const SEPARATOR: &str = "://";

/// Protocol that says that there is no provider.
const EMPTY: &str = "empty";

/// Children of Dubbo's root that are no interfaces: it keeps its settings and metadata there.
const OTHERS: [&str; 3] = ["config", "mapping", "metadata"];

/// Time in which a provider's weight grows if it says nothing of it: ten minutes.
const WARM_UP_MS: u64 = 600_000;

/// The providers of Apache Dubbo's interfaces, which this format reads and does not write.
///
/// The service is an interface, such as `com.example.Orders`. Its providers are below `/dubbo/{interface}/providers`. The name of
/// a provider's node is a URL with all its parameters, URL-encoded, so data of nodes are not read:
/// `dubbo://10.0.0.1:20880/com.example.Orders?application=shop&timestamp=1700000000000&weight=100`.
///
/// | [`Instance`] | URL |
/// | --- | --- |
/// | host, port | the address; a user and a password are left out |
/// | status | down if `disabled` is true or `enabled` is false; else up |
/// | weight | `weight`: a negative one is 0 |
/// | warm-up | begins at `timestamp` and lasts `warmup`, by default ten minutes |
/// | tags | `dubbo.tag` |
/// | the fields `protocol` and `path` | the protocol, and the path, which is mostly the interface |
/// | further fields | all parameters, as strings |
///
/// ```
/// use registry::codec::{Codec, Dubbo};
///
/// let dubbo = Dubbo::default();
/// assert_eq!(dubbo.service_path("", "com.example.Orders")?, "/dubbo/com.example.Orders/providers");
/// let name = "dubbo%3A%2F%2F10.0.0.1%3A20880%2Fcom.example.Orders%3Fapplication%3Dshop%26weight%3D50";
/// let provider = dubbo.decode(name, b"")?;
/// assert_eq!((provider.addr(), provider.weight()), ("10.0.0.1:20880".to_owned(), 50));
/// assert_eq!(provider.get("application"), Some(&"shop".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dubbo {
    base: Base,
}

impl Default for Dubbo {
    fn default() -> Self {
        Self::at("/dubbo")
    }
}

impl Dubbo {
    /// Reads below this path instead of `/dubbo`: the `group` of Dubbo's registry. It is below the chroot, and the root of the
    /// registry does not count.
    #[must_use]
    pub fn at(group: impl Into<String>) -> Self {
        Self { base: Base::at(group) }
    }
}

impl Codec for Dubbo {
    fn service_path(&self, root: &str, service: &str) -> Result<String, NameError> {
        self.base.service_path(root, &encoded(service)).map(|path| path + "/providers")
    }

    fn services_path(&self, root: &str) -> Result<String, NameError> {
        self.base.services_path(root)
    }

    fn service_name(&self, child: &str) -> Option<String> {
        decoded(child).ok().filter(|name| !OTHERS.contains(&name.as_str()))
    }

    fn naming(&self, _is_named: bool) -> Naming {
        Naming::Id
    }

    fn encode(&self, _of: &Published<'_>) -> Result<Bytes, InstanceError> {
        Err(InstanceError::ReadOnly("Dubbo"))
    }

    fn decode(&self, name: &str, _data: &[u8]) -> Result<Instance, InstanceError> {
        let url = decoded(name)?;
        let (body, query) = url.split_once('?').unwrap_or((&url, ""));
        let Provider { protocol, host, port, path } = provider(body)?;
        let parameters = parameters(query);
        let mut instance = Instance::new(host, port);
        instance.check()?;
        for (key, value) in &parameters {
            instance = instance.with(key, value.clone());
        }
        instance = instance.with("protocol", protocol);
        if let Some(path) = path {
            instance = instance.with("path", path);
        }
        let text = |key| parameters.get(key).and_then(Value::as_str);
        let number = |key| text(key).and_then(|text| text.parse::<i64>().ok());
        if let Some(weight) = number("weight") {
            instance = instance.with_weight(u32::try_from(weight.max(0)).unwrap_or(u32::MAX));
        }
        if let Some(started) =
            number("timestamp").and_then(|time| u64::try_from(time).ok()).filter(|time| *time > 0)
        {
            let warm_up = number("warmup").map_or(WARM_UP_MS, |time| u64::try_from(time).unwrap_or(0));
            instance = instance.with_warm_up(started, warm_up);
        }
        if let Some(tag) = text("dubbo.tag").filter(|tag| !tag.is_empty()) {
            instance = instance.with_tags([tag]);
        }
        let is_true = |text: &str| text.eq_ignore_ascii_case("true");
        let is_disabled = text("disabled").is_some_and(is_true)
            || text("enabled").is_some_and(|text| !text.is_empty() && !is_true(text));
        if is_disabled {
            instance = instance.with_status(Status::Down);
        }
        Ok(instance)
    }

    fn is_instance(&self, name: &str) -> bool {
        name.split_once(ENCODED_SEPARATOR).is_some_and(|(protocol, _)| protocol != EMPTY)
    }

    fn reads_data(&self) -> bool {
        false
    }
}

/// A URL before its parameters.
struct Provider<'a> {
    protocol: &'a str,
    host: &'a str,
    port: u16,
    path: Option<&'a str>,
}

/// Reads `protocol://user:password@host:port/path`. What follows a `#` counts for nothing.
fn provider(body: &str) -> Result<Provider<'_>, InstanceError> {
    let Some((protocol, rest)) = body.split_once(SEPARATOR).filter(|(protocol, _)| !protocol.is_empty())
    else {
        return Err(InstanceError::NotAUrl("it has no protocol"));
    };
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (address, path) = rest.split_once('/').map_or((rest, None), |(address, path)| (address, Some(path)));
    let address = address.rsplit_once('@').map_or(address, |(_, address)| address);
    // A `%` behind the last colon names the interface of a local IPv6 address: that colon is part of the address.
    let port = address.rsplit_once(':').filter(|(_, port)| !port.contains('%'));
    let Some((host, port)) = port else { return Err(InstanceError::NotAUrl("it has no port")) };
    let port = port.parse().map_err(|_| InstanceError::Port(port.to_owned()))?;
    Ok(Provider { protocol, host, port, path: path.filter(|path| !path.is_empty()) })
}

/// Reads parameters as Dubbo does. A key that begins with `default.` also stands for the key without it.
fn parameters(query: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    for parameter in query.split(['&', ';']) {
        let parameter = parameter.trim_start_matches('=');
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if key.is_empty() {
            continue;
        }
        parameters.insert(key.to_owned(), value.into());
        if let Some(key) = key.strip_prefix("default.") {
            parameters.entry(key).or_insert_with(|| value.into());
        }
    }
    parameters
}

/// Encodes as forms of HTML are: what Java's `URLEncoder` does.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => encoded.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 15)]),
        }
    }
    encoded
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase()
}

/// Undoes [`encoded`].
fn decoded(text: &str) -> Result<String, InstanceError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(InstanceError::NotAUrl("a % is not followed by two hexadecimal digits"));
                };
                u8::try_from(high << 4 | low).unwrap_or_default()
            }
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| InstanceError::NotAUrl("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(url: &str) -> Result<Instance, InstanceError> {
        Dubbo::default().decode(&encoded(url), b"an address, which Dubbo writes into its nodes")
    }

    fn field<'a>(instance: &'a Instance, key: &str) -> Option<&'a str> {
        instance.get(key).and_then(Value::as_str)
    }

    #[test]
    fn a_provider_is_an_instance_with_its_parameters() {
        let url = "dubbo://10.0.0.1:20880/com.example.Orders?anyhost=true&application=shop&group=g&side=provider&version=1.0";
        let provider = read(url).unwrap();
        assert_eq!(provider.addr(), "10.0.0.1:20880");
        for (key, value) in [
            ("application", "shop"),
            ("group", "g"),
            ("version", "1.0"),
            ("protocol", "dubbo"),
            ("path", "com.example.Orders"),
        ] {
            assert_eq!(field(&provider, key), Some(value), "{key}");
        }
        assert_eq!((provider.status(), provider.weight()), (Status::Up, 100));
        assert!(!Dubbo::default().reads_data());
    }

    #[test]
    fn weight_warm_up_status_and_tags_are_named_fields() {
        let with = |parameters: &str| read(&format!("tri://h:1/i?{parameters}")).unwrap();
        assert_eq!(
            [with("weight=7").weight(), with("weight=-1").weight(), with("weight=x").weight()],
            [7, 0, 100]
        );
        let warm = with("weight=50&timestamp=1000&warmup=100");
        assert_eq!([warm.weight_at(1_050), warm.weight_at(1_100)], [25, 50]);
        let by_default = with("timestamp=1000");
        assert_eq!([by_default.weight_at(301_000), by_default.weight_at(601_000)], [50, 100]);
        for (parameters, status) in [
            ("disabled=true", Status::Down),
            ("disabled=false", Status::Up),
            ("enabled=false", Status::Down),
            ("enabled=true", Status::Up),
            ("enabled=", Status::Up),
        ] {
            assert_eq!(with(parameters).status(), status, "{parameters}");
        }
        assert_eq!(with("dubbo.tag=gray").tags().collect::<Vec<_>>(), ["gray"]);
    }

    #[test]
    fn parameters_are_split_as_dubbo_splits_them() {
        let provider = read("dubbo://h:1?a=1;b=2&=c=3&d&e=x=y&&default.f=4&default.a=9&p=%26").unwrap();
        let values = ["a", "b", "c", "d", "e", "f", "p"].map(|key| field(&provider, key));
        assert_eq!(values, [Some("1"), Some("2"), Some("3"), Some(""), Some("x=y"), Some("4"), Some("%26")]);
        assert_eq!(provider.get("path"), None);
    }

    #[test]
    fn an_address_may_have_a_user_and_ipv6() {
        let addr = |url: &str| read(url).map(|provider| provider.addr());
        assert_eq!(addr("dubbo://user:secret@h:1/i?a=b").as_deref(), Ok("h:1"));
        assert_eq!(addr("rest://[::1]:8080/i").as_deref(), Ok("[::1]:8080"));
        assert_eq!(addr("dubbo://fe80::1:20880/i").as_deref(), Ok("[fe80::1]:20880"));
        assert_eq!(addr("dubbo://h:1/i#fragment").as_deref(), Ok("h:1"));
        let secret = read("dubbo://user:secret@h:1/i").unwrap();
        assert!(!format!("{secret:?}").contains("secret"));
    }

    #[test]
    fn each_defect_has_its_error() {
        let error = |name: &str| Dubbo::default().decode(name, b"").unwrap_err().to_string();
        assert_eq!(error("h%3A1"), "the node's name is no URL of a provider: it has no protocol");
        assert_eq!(error("%3A%2F%2Fh%3A1"), "the node's name is no URL of a provider: it has no protocol");
        assert_eq!(error("dubbo%3A%2F%2Fh"), "the node's name is no URL of a provider: it has no port");
        assert_eq!(
            error("dubbo%3A%2F%2Ffe80::1%25en0"),
            "the node's name is no URL of a provider: it has no port"
        );
        assert_eq!(error("dubbo%3A%2F%2Fh%3A65536"), "port 65536 is not in 1..=65535");
        assert_eq!(error("dubbo%3A%2F%2Fh%3A0"), "port 0 is not in 1..=65535");
        assert_eq!(error("dubbo%3A%2F%2F%3A1"), "host is empty");
        assert!(error("dubbo%3").ends_with("a % is not followed by two hexadecimal digits"));
        assert!(error("%FF").ends_with("it is not UTF-8"));
        let published = Instance::new("h", 1);
        let refused = Dubbo::default().encode(&Published::new("s", "i", &published, 0));
        assert_eq!(refused, Err(InstanceError::ReadOnly("Dubbo")));
    }

    #[test]
    fn interfaces_and_providers_are_told_from_other_nodes() {
        let dubbo = Dubbo::at("/group");
        assert_eq!(dubbo.service_path("root", "a b/ü").as_deref(), Ok("/group/a+b%2F%C3%BC/providers"));
        assert_eq!(dubbo.services_path("root").as_deref(), Ok("/group"));
        assert_eq!(dubbo.service_name("a+b%2F%C3%BC").as_deref(), Some("a b/ü"));
        assert_eq!([dubbo.service_name("config"), dubbo.service_name("%")], [None, None]);
        assert!(dubbo.is_instance("tri%3A%2F%2Fh%3A1"));
        assert!(!dubbo.is_instance("empty%3A%2F%2Fh%3A1"));
        assert!(!dubbo.is_instance("h"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(name in ".*", url in "dubbo://.*") {
            let _ = Dubbo::default().decode(&name, b"");
            let _ = read(&url);
        }

        #[test]
        fn every_text_comes_back_from_a_name(text in any::<String>(), value in "[^&;=][^&;]*") {
            prop_assert_eq!(decoded(&encoded(&text)).unwrap(), text);
            let provider = read(&format!("dubbo://h:1/i?key={value}")).unwrap();
            prop_assert_eq!(field(&provider, "key"), Some(&*value));
        }
    }
}
