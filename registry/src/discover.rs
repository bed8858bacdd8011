//! A subscription for tower's balancers: changes are the difference of what was told and the latest members.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use tower::discover::Change;

use crate::instance::Instance;
use crate::members::{InstanceId, Members};
use crate::stream::Updates;
use crate::subscription::Subscription;

/// Members of a service as [`tower::discover::Discover`], with a service for each, made by a closure. From
/// [`Subscription::discover`] and [`Subscription::discover_by_addr`].
///
/// It holds the instances that it has told and the latest members, and no queue of changes: who polls late gets the
/// difference. While the registry is away nothing changes. It ends when the registry is closed; a balancer then keeps what it
/// has.
#[must_use = "streams do nothing unless polled"]
pub struct Discover<K, F> {
    views: Updates<Arc<Members>>,
    keys: Keys<K>,
    make: F,
    told: BTreeMap<K, Told>,
    /// Instances of the latest members.
    latest: BTreeMap<K, Arc<Instance>>,
    /// Keys at which these differ.
    pending: VecDeque<K>,
    is_over: bool,
}

/// Ways to name instances.
struct Keys<K> {
    by_key: fn(&Members) -> BTreeMap<K, Arc<Instance>>,
    /// True if an instance with new data gets a new service.
    by_data: bool,
}

/// Instance that was told.
struct Told {
    instance: Arc<Instance>,
    /// False if the closure had no service for it.
    has_service: bool,
}

impl Subscription {
    /// Feeds a balancer of tower: each instance becomes a service, under its id. New data of an instance makes a new service,
    /// which takes the place of the old one. `None` leaves the instance out, for instance if its address is no URI.
    ///
    /// Needs [`SubscribeOptions::filter`](crate::SubscribeOptions) only where more than the default, instances that are up,
    /// should get calls.
    pub fn discover<S, F>(self, make: F) -> Discover<InstanceId, F>
    where
        F: FnMut(&Instance) -> Option<S>,
    {
        Discover::new(self, Keys { by_key: |members| members.instances.clone(), by_data: true }, make)
    }

    /// Feeds a balancer of tower: each address becomes a service, under `host:port`. New data leaves the service as it is, and
    /// so does an instance that is registered again at its address: right for connections. Several instances at one address,
    /// such as forked workers, are one service. `None` leaves the address out.
    ///
    /// Three statements balance a gRPC client of tonic, whose generated code takes such a channel. The example
    /// `tonic_rolling_restart` is a whole program.
    ///
    /// ```no_run
    /// use tonic::Status;
    /// use tonic::transport::Endpoint;
    /// use tower::ServiceExt;
    /// use tower::balance::p2c::Balance;
    /// use tower::buffer::Buffer;
    /// use tower::load::{CompleteOnResponse, PendingRequests};
    ///
    /// # async fn balanced(registry: registry::Registry) -> Result<(), registry::Error> {
    /// let servers = registry.subscribe("greeter").await?.discover_by_addr(|instance| {
    ///     let server = Endpoint::from_shared(format!("http://{}", instance.addr())).ok()?;
    ///     Some(PendingRequests::new(server.connect_lazy(), CompleteOnResponse::default()))
    /// });
    /// let channel = Buffer::new(Balance::new(servers), 1024).map_err(Status::from_error).boxed_clone();
    /// # let _client = tonic_health::pb::health_client::HealthClient::new(channel);
    /// # Ok(())
    /// # }
    /// ```
    pub fn discover_by_addr<S, F>(self, make: F) -> Discover<String, F>
    where
        F: FnMut(&Instance) -> Option<S>,
    {
        Discover::new(self, Keys { by_key: by_addr, by_data: false }, make)
    }
}

/// Returns an instance for each address: of several, the one with the first id.
fn by_addr(members: &Members) -> BTreeMap<String, Arc<Instance>> {
    let reversed = members.instances.values().rev();
    reversed.map(|instance| (instance.addr(), instance.clone())).collect()
}

impl<K: Clone + Ord, F> Discover<K, F> {
    fn new(subscription: Subscription, keys: Keys<K>, make: F) -> Self {
        Self::over(subscription.into_stream(), keys, make)
    }

    fn over(views: Updates<Arc<Members>>, keys: Keys<K>, make: F) -> Self {
        let (told, latest, pending) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Self { views, keys, make, told, latest, pending, is_over: false }
    }

    /// Takes the latest members, and finds the keys that differ: first those that come, so that a balancer is not empty in
    /// between.
    fn take(&mut self, members: &Members) {
        self.latest = (self.keys.by_key)(members);
        let differs = |(key, instance): &(&K, &Arc<Instance>)| match self.told.get(key) {
            Some(told) => self.keys.by_data && told.instance != **instance,
            None => true,
        };
        let come = self.latest.iter().filter(differs).map(|(key, _)| key);
        let gone = self.told.keys().filter(|key| !self.latest.contains_key(key));
        self.pending = come.chain(gone).cloned().collect();
    }

    /// Returns the next change, if there is one.
    fn next_change<S>(&mut self) -> Option<Change<K, S>>
    where
        F: FnMut(&Instance) -> Option<S>,
    {
        while let Some(key) = self.pending.pop_front() {
            let Some(instance) = self.latest.get(&key) else {
                if self.told.remove(&key).is_some_and(|told| told.has_service) {
                    return Some(Change::Remove(key));
                }
                continue;
            };
            let service = (self.make)(instance);
            let told = Told { instance: instance.clone(), has_service: service.is_some() };
            let had_service = self.told.insert(key.clone(), told).is_some_and(|told| told.has_service);
            match service {
                Some(service) => return Some(Change::Insert(key, service)),
                None if had_service => return Some(Change::Remove(key)),
                None => {}
            }
        }
        None
    }
}

/// Gives it [`tower::discover::Discover`], which every such stream has.
impl<K, S, F> Stream for Discover<K, F>
where
    K: Clone + Ord,
    F: FnMut(&Instance) -> Option<S>,
{
    type Item = Result<Change<K, S>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_over {
            match Pin::new(&mut self.views).poll_next(cx) {
                Poll::Ready(Some(members)) => self.take(&members),
                Poll::Ready(None) => self.is_over = true,
                Poll::Pending => break,
            }
        }
        match self.next_change() {
            Some(change) => Poll::Ready(Some(Ok(change))),
            None if self.is_over => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// Nothing in it is pinned.
impl<K, F> Unpin for Discover<K, F> {}

impl<K: fmt::Debug, F> fmt::Debug for Discover<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discover").field("told", &self.told.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;
    use tokio::sync::watch;

    use super::*;
    use crate::stream::Follow;

    impl Follow for watch::Receiver<Arc<Members>> {
        type Value = Arc<Members>;

        fn current(&self) -> Arc<Members> {
            self.borrow().clone()
        }

        async fn changed(&mut self) -> Option<Arc<Members>> {
            Self::changed(self).await.ok()?;
            Some(self.borrow_and_update().clone())
        }
    }

    /// Gives members, some of them at the same address; port 0 is one without a service.
    fn any_members() -> impl Strategy<Value = Arc<Members>> {
        let instance =
            (0u16..4, 0u32..2).prop_map(|(port, load)| Instance::new("a", port).with("load", load));
        let named = ("[a-d]".prop_map(|id| InstanceId::from(&*id)), instance.prop_map(Arc::new));
        proptest::collection::vec(named, 0..5).prop_map(|named| Arc::new(named.into_iter().collect()))
    }

    fn service(instance: &Instance) -> Option<Instance> {
        (instance.port() != 0).then(|| instance.clone())
    }

    /// Shows each list to a reader that takes this number of changes after it, and returns the services that it has in the end.
    fn read<K, F>(lists: Vec<(Arc<Members>, usize)>, keys: Keys<K>, make: F) -> BTreeMap<K, Instance>
    where
        K: Clone + Ord + fmt::Debug,
        F: FnMut(&Instance) -> Option<Instance>,
    {
        let by_data = keys.by_data;
        let (sender, receiver) = watch::channel(Arc::default());
        let mut discover = Discover::over(Updates::of(receiver), keys, make);
        let mut services: BTreeMap<K, Instance> = BTreeMap::new();
        for (members, changes) in lists {
            sender.send_replace(members);
            for _ in 0..changes {
                match Pin::new(&mut discover).poll_next(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Some(Ok(Change::Insert(key, new)))) => {
                        let old = services.insert(key, new.clone());
                        assert!(old.is_none_or(|old| by_data && old != new), "told twice");
                    }
                    Poll::Ready(Some(Ok(Change::Remove(key)))) => {
                        assert!(services.remove(&key).is_some(), "removed twice");
                    }
                    Poll::Ready(None) => panic!("it goes on"),
                    Poll::Pending => break,
                }
                assert!(discover.pending.len() <= 8, "no more than were told and are there");
            }
        }
        services
    }

    proptest! {
        #[test]
        fn services_are_those_of_the_latest_members(
            mut lists in proptest::collection::vec((any_members(), 0usize..4), 1..8), last in any_members(),
        ) {
            lists.push((last.clone(), usize::MAX));
            let by_id = Keys { by_key: |members: &Members| members.instances.clone(), by_data: true };
            let services = read(lists.clone(), by_id, service);
            let usable = last.instances.iter().filter_map(|(id, instance)| Some((id.clone(), service(instance)?)));
            prop_assert_eq!(services, usable.collect());

            let services = read(lists, Keys { by_key: by_addr, by_data: false }, service);
            let usable = last.instances.values().filter(|instance| instance.port() != 0);
            let mut addresses: Vec<_> = usable.map(|instance| instance.addr()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            prop_assert_eq!(services.into_keys().collect::<Vec<_>>(), addresses);
        }
    }
}
