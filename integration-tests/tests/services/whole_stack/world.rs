//! Everybody who takes part, and the course of a plan.

use std::time::Duration;

use registry::{Registry, Subscription};
use rpc_client::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use zk_mini::testing::in_virtual_time;
use zk_mini::{Handle, ZkMini};

use super::ledger::Ledger;
use super::network::{Addresses, Way};
use super::plan::{Act, MAX_INSTANCES, Plan, Round, TIMEOUT};
use super::process::{Process, SERVICE};

/// Time in which everything that has begun must end, once the registry is well.
const ENOUGH: Duration = Duration::from_secs(600);

/// Port of the first instance.
const FIRST_PORT: u16 = 1000;

/// Everybody who takes part.
pub(super) struct World {
    pub(super) zk: Handle,
    pub(super) ledger: Ledger,
    pub(super) instances: Vec<Berth<Process>>,
    pub(super) subscribers: Vec<Berth<Subscriber>>,
    pub(super) callers: Vec<Caller>,
    addresses: Addresses,
    calls: JoinSet<()>,
    leaving: JoinSet<()>,
    /// Number of processes so far: each has a number of its own.
    births: u64,
    seed: u64,
}

/// Place for a process.
pub(super) enum Berth<T> {
    Free,
    Starting(JoinHandle<T>),
    Taken(T),
}

/// Process that follows the service.
pub(super) struct Subscriber {
    registry: Registry,
    pub(super) subscription: Subscription,
}

/// Process that calls the service.
pub(super) struct Caller {
    /// Keeps the session.
    _registry: Registry,
    pub(super) client: Client,
}

/// Lets a plan happen in simulated time. Returns the history of the registry's server.
///
/// # Errors
/// The invariant that does not hold at a quiet point.
pub(crate) fn live(plan: &Plan) -> Result<String, String> {
    in_virtual_time(async {
        let builder = ZkMini::builder().in_memory().auto_advance().seed(plan.seed).history(100_000);
        let zk = builder.start().await.map_err(|error| error.to_string())?;
        let mut world = World::new(&zk, plan).await;
        for (round, n) in plan.rounds.iter().zip(1..) {
            world.happen(round).await;
            world.calm_down().await.map_err(|error| format!("after round {n}: {error}"))?;
            world.check().await.map_err(|error| format!("after round {n}: {error}"))?;
        }
        Ok(zk.history().to_string())
    })
}

impl World {
    async fn new(zk: &ZkMini, plan: &Plan) -> Self {
        let mut world = Self {
            zk: Handle::clone(zk),
            ledger: Ledger::default(),
            instances: (0..MAX_INSTANCES).map(|_| Berth::Free).collect(),
            subscribers: (0..plan.subscribers).map(|_| Berth::Free).collect(),
            callers: Vec::new(),
            addresses: Addresses::default(),
            calls: JoinSet::new(),
            leaving: JoinSet::new(),
            births: 0,
            seed: plan.seed,
        };
        for instance in 0..plan.instances {
            world.start(instance);
        }
        for subscriber in 0..plan.subscribers {
            world.subscribe(subscriber);
        }
        for _ in 0..plan.callers {
            let seed = world.next_seed();
            let registry = Way::default().registry(&world.zk, seed).await;
            let client = Client::builder(registry.clone(), SERVICE).via(world.addresses.via()).seed(seed);
            let client = client.connect().await.expect("the registry is well");
            world.callers.push(Caller { _registry: registry, client });
        }
        world
    }

    async fn happen(&mut self, round: &Round) {
        let zk = self.zk.clone();
        let acts = async {
            for &(pause, act) in &round.acts {
                sleep(pause).await;
                self.act(act).await;
            }
        };
        tokio::join!(round.day.play(&zk), acts);
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Start(n) => self.start(n),
            Act::Stop(n) => {
                if let Some(process) = self.take_instance(n).await {
                    self.leaving.spawn(process.stop());
                }
            }
            Act::Kill(n) => {
                if let Some(process) = self.take_instance(n).await {
                    process.kill(&self.zk).await;
                }
            }
            Act::Ail(n, illness) => {
                if let Some(process) = self.instances[n].settled().await {
                    process.ail(illness);
                }
            }
            Act::Update(n) => {
                let revision = self.births;
                if let Some(process) = self.instances[n].settled().await {
                    process.update(revision).await;
                }
            }
            Act::DeleteNode(n) => {
                let process = self.instances[n].settled().await;
                if let Some(node) = process.and_then(|process| process.registration.path()) {
                    // It may be gone already.
                    let _ = self.zk.delete(&node).await;
                }
            }
            Act::Call { caller, takes, idempotent } => {
                let client = self.callers[caller % self.callers.len()].client.clone();
                let ledger = self.ledger.clone();
                self.calls.spawn(async move { call(&client, &ledger, takes, idempotent).await });
            }
            Act::Unsubscribe(n) => {
                let place = n % self.subscribers.len();
                if self.subscribers[place].settled().await.is_some()
                    && let Berth::Taken(subscriber) =
                        std::mem::replace(&mut self.subscribers[place], Berth::Free)
                {
                    self.leaving.spawn(async move { drop(subscriber.registry.close().await) });
                }
            }
            Act::Subscribe(n) => self.subscribe(n % self.subscribers.len()),
        }
    }

    fn start(&mut self, n: usize) {
        if let Berth::Free = self.instances[n] {
            let port = FIRST_PORT + u16::try_from(n).unwrap_or_default();
            let seed = self.next_seed();
            let (zk, addresses, ledger) = (self.zk.clone(), self.addresses.clone(), self.ledger.clone());
            let starting = Process::start(zk, addresses, ledger, port, self.births, seed);
            self.instances[n] = Berth::Starting(tokio::spawn(starting));
        }
    }

    fn subscribe(&mut self, n: usize) {
        if let Berth::Free = self.subscribers[n] {
            let (zk, seed) = (self.zk.clone(), self.next_seed());
            self.subscribers[n] = Berth::Starting(tokio::spawn(Subscriber::start(zk, seed)));
        }
    }

    async fn take_instance(&mut self, n: usize) -> Option<Process> {
        self.instances[n].settled().await?;
        match std::mem::replace(&mut self.instances[n], Berth::Free) {
            Berth::Taken(process) => Some(process),
            Berth::Free | Berth::Starting(_) => None,
        }
    }

    fn next_seed(&mut self) -> u64 {
        self.births += 1;
        self.seed.wrapping_add(self.births << 32)
    }

    /// Cures everybody, and waits until all that has begun has ended, and everybody has heard of it.
    async fn calm_down(&mut self) -> Result<(), String> {
        let all = async {
            for place in &mut self.instances {
                place.arrived().await;
            }
            for place in &mut self.subscribers {
                place.arrived().await;
            }
            while self.calls.join_next().await.is_some() {}
            while self.leaving.join_next().await.is_some() {}
        };
        timeout(ENOUGH, all).await.map_err(|_| "somebody is still not done after ten minutes")?;
        for process in self.instances.iter().filter_map(|place| place.taken()) {
            process.ail(None);
        }
        // Longer than every delay, backoff and hold, and than sessions live without a client.
        sleep(6 * TIMEOUT).await;
        Ok(())
    }
}

impl Subscriber {
    async fn start(zk: Handle, seed: u64) -> Self {
        let registry = Way::default().registry(&zk, seed).await;
        loop {
            // An error tells that there is no subscription.
            match registry.subscribe(SERVICE).await {
                Ok(subscription) => return Self { registry, subscription },
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

impl<T> Berth<T> {
    /// Returns the process, if it has started by now.
    async fn settled(&mut self) -> Option<&mut T> {
        if matches!(self, Self::Starting(starting) if starting.is_finished()) {
            self.arrived().await;
        }
        match self {
            Self::Taken(process) => Some(process),
            Self::Free | Self::Starting(_) => None,
        }
    }

    /// Waits until the process has started, if there is one.
    async fn arrived(&mut self) {
        if let Self::Starting(starting) = self {
            *self = Self::Taken(starting.await.expect("processes start without a panic"));
        }
    }

    /// Returns the process; `None` if the place is free.
    pub(super) fn taken(&self) -> Option<&T> {
        match self {
            Self::Taken(process) => Some(process),
            Self::Free | Self::Starting(_) => None,
        }
    }
}

/// Makes a call and notes its end.
pub(super) async fn call(client: &Client, ledger: &Ledger, takes: Duration, idempotent: bool) {
    let number = ledger.begun(idempotent);
    let takes = u64::try_from(takes.as_millis()).unwrap_or(u64::MAX);
    let call = client.call("run", &(number, takes));
    let end = if idempotent { call.idempotent().await } else { call.await };
    ledger.ended(number, end);
}
