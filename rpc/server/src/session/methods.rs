//! Names of the services of a server, names and kinds of their methods, and the usual duration of their calls.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub use rpc_wire::MethodKind;

/// Beginning of the names of the library's own services.
pub(crate) const BUILT_IN: &str = "rpc.";

/// Methods of a server by service and name, shared by all its sessions.
#[derive(Debug, Default)]
pub struct MethodTable {
    services: Vec<ServiceEntry>,
    /// Service by service, those of each sorted by name. Comparing all names of a length costs less than a hash or a search.
    methods: Vec<MethodEntry>,
}

/// Identity of a service in its table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServiceId(usize);

/// Identity of a method in its table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MethodId(usize);

#[derive(Debug)]
struct ServiceEntry {
    name: String,
    methods: Range<usize>,
}

#[derive(Debug)]
struct MethodEntry {
    name: String,
    kind: MethodKind,
    service: ServiceId,
    /// Moving average of the time for which the first poll of a call keeps its thread, in nanoseconds.
    usual: AtomicU64,
}

impl MethodTable {
    /// Creates a table of these services, each with its methods.
    pub fn new<N>(services: impl IntoIterator<Item = (String, N)>) -> Self
    where
        N: IntoIterator<Item = (String, MethodKind)>,
    {
        let mut table = Self::default();
        for (name, methods) in services {
            let service = ServiceId(table.services.len());
            let first = table.methods.len();
            table.methods.extend(methods.into_iter().map(|(name, kind)| MethodEntry {
                name,
                kind,
                service,
                usual: AtomicU64::new(0),
            }));
            table.methods[first..].sort_by(|a, b| a.name.cmp(&b.name));
            table.services.push(ServiceEntry { name, methods: first..table.methods.len() });
        }
        table
    }

    /// Returns the service of that name.
    pub fn service(&self, name: &str) -> Option<ServiceId> {
        self.services.iter().position(|service| service.name == name).map(ServiceId)
    }

    /// Returns the service for a client that names none: the only one beside the library's own.
    pub fn only_service(&self) -> Option<ServiceId> {
        let mut offered = self.offered();
        offered.next().filter(|_| offered.next().is_none()).and_then(|name| self.service(name))
    }

    /// Returns the names of the services, without the library's own.
    pub fn offered(&self) -> impl Iterator<Item = &str> {
        let names = self.services.iter().map(|service| service.name.as_str());
        names.filter(|name| !name.starts_with(BUILT_IN))
    }

    /// Returns the name of a service; empty for none.
    pub fn service_name(&self, service: Option<ServiceId>) -> &str {
        service.and_then(|service| self.services.get(service.0)).map_or("", |service| &service.name)
    }

    /// Returns the method that a client of `service` names: one of that service, or any by `service/method`.
    pub fn find(&self, service: Option<ServiceId>, name: &str) -> Option<MethodId> {
        let of_service = service.and_then(|service| self.find_in(service, name));
        of_service.or_else(|| {
            let (service, method) = name.rsplit_once('/')?;
            self.find_in(self.service(service)?, method)
        })
    }

    fn find_in(&self, service: ServiceId, name: &str) -> Option<MethodId> {
        let range = self.services.get(service.0)?.methods.clone();
        self.methods[range.clone()]
            .iter()
            .position(|method| method.name == name)
            .map(|at| MethodId(range.start + at))
    }

    /// Returns the name of a method; empty if it is another table's.
    pub fn name(&self, method: MethodId) -> &str {
        self.methods.get(method.0).map_or("", |method| &method.name)
    }

    /// Returns the name of a method's service; empty if it is another table's.
    pub fn service_of(&self, method: MethodId) -> &str {
        self.service_name(self.methods.get(method.0).map(|method| method.service))
    }

    /// Returns the kind of a method; unary if it is another table's.
    pub fn kind(&self, method: MethodId) -> MethodKind {
        self.methods.get(method.0).map_or(MethodKind::Unary, |method| method.kind)
    }

    /// Returns true for the streams of the library's own services, which last until their client or their connection ends.
    pub fn is_watch(&self, method: MethodId) -> bool {
        self.kind(method) == MethodKind::ServerStream && self.service_of(method).starts_with(BUILT_IN)
    }

    /// Returns the services and names of all methods in the order of [`MethodId::index`].
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let service = |method: &MethodEntry| self.service_name(Some(method.service));
        self.methods.iter().map(move |method| (service(method), method.name.as_str()))
    }

    /// Returns the usual time for which the first poll of a call keeps its thread.
    pub fn usual(&self, method: MethodId) -> Duration {
        Duration::from_nanos(self.methods.get(method.0).map_or(0, |method| method.usual.load(Relaxed)))
    }

    /// Records the time for which the first poll of a call kept its thread.
    pub fn took(&self, method: MethodId, time: Duration) {
        let Some(method) = self.methods.get(method.0) else { return };
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let usual = match method.usual.load(Relaxed) {
            0 => time,
            usual => usual - usual / 8 + time / 8,
        };
        method.usual.store(usual, Relaxed);
    }
}

impl MethodId {
    /// Returns the position in the table: service by service, in each the names in alphabetical order.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(services: &[(&str, &[&str])]) -> MethodTable {
        MethodTable::new(services.iter().map(|(name, methods)| {
            (
                (*name).to_owned(),
                methods.iter().map(|&method| (method.to_owned(), MethodKind::Unary)).collect::<Vec<_>>(),
            )
        }))
    }

    #[test]
    fn a_client_of_a_service_calls_its_methods_by_their_names_and_all_others_with_their_service() {
        let table = table(&[("shop", &["sell", "price"]), ("stock", &["price"]), ("rpc.health", &["check"])]);
        let found = |service: &str, method: &str| {
            let id = table.find(table.service(service), method)?;
            Some(format!("{}/{}", table.service_of(id), table.name(id)))
        };
        assert_eq!(found("shop", "price").as_deref(), Some("shop/price"));
        assert_eq!(found("stock", "price").as_deref(), Some("stock/price"));
        assert_eq!(found("stock", "sell"), None);
        assert_eq!(found("stock", "shop/sell").as_deref(), Some("shop/sell"));
        assert_eq!(found("", "rpc.health/check").as_deref(), Some("rpc.health/check"));
        assert_eq!(found("", "price"), None);
        assert_eq!(found("", "other/price"), None);
    }

    #[test]
    fn positions_follow_the_services_and_then_the_alphabet() {
        let table = table(&[("b", &["y", "x"]), ("a", &["z"])]);
        let index = |name| table.find(None, name).map(MethodId::index);
        assert_eq!([index("b/x"), index("b/y"), index("a/z")], [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn a_client_that_names_no_service_gets_the_only_one() {
        let only = |services| {
            let table = table(services);
            table.service_name(table.only_service()).to_owned()
        };
        assert_eq!(only(&[("shop", &[]), ("rpc.health", &[])]), "shop");
        assert_eq!(only(&[("shop", &[]), ("stock", &[])]), "");
        assert_eq!(only(&[("rpc.health", &[])]), "");
    }
}
