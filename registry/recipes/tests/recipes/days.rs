//! The recipes on random bad days of the server.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::task::JoinSet;
use zk_client::Client;
use zk_mini::testing::{Day, Incident, days};
use zk_recipes::{Candidate, Election, Error, Guard, Holding, Lock, ReadWriteLock, Semaphore};

use crate::support::{TIMEOUT, client, count, quiet, with_server};

const WORKERS: usize = 3;
const PATH: &str = "/recipe";

/// Days on which no session ends by hand while its client cannot hear of it: nobody could be sure of anything then.
fn fair_days() -> impl Strategy<Value = Day> {
    let of = |kept: fn(&Incident) -> bool| {
        days(TIMEOUT).prop_map(move |day| Day::from_iter(day.incidents().iter().copied().filter(kept)))
    };
    let hears = |incident: &Incident| {
        use Incident::{DelayReply, DelayRequest, Freeze, FreezeServer};
        !matches!(incident, Freeze(_) | FreezeServer | DelayReply(_) | DelayRequest(_))
    };
    prop_oneof![of(hears), of(|incident| !matches!(incident, Incident::Expire(_)))]
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Recipe {
    Lock,
    ReadWrite,
    Semaphore,
}

impl Recipe {
    async fn acquire(self, client: &Client, worker: usize) -> Result<Guard, Error> {
        match self {
            Self::Lock => Lock::new(client, PATH).acquire().await,
            Self::ReadWrite if worker == 0 => ReadWriteLock::new(client, PATH).write().acquire().await,
            Self::ReadWrite => ReadWriteLock::new(client, PATH).read().acquire().await,
            Self::Semaphore => Semaphore::new(client, PATH, NonZeroUsize::new(2).unwrap()).acquire().await,
        }
    }

    /// Returns true if these workers may hold it together.
    fn allows(self, holders: &[usize]) -> bool {
        match self {
            Self::Lock => holders.len() <= 1,
            Self::ReadWrite => holders.len() <= 1 || !holders.contains(&0),
            Self::Semaphore => holders.len() <= 2,
        }
    }

    /// Returns the nodes that may have children, with the number of them while all workers work.
    fn nodes(self) -> &'static [(&'static str, usize)] {
        match self {
            Self::Lock | Self::ReadWrite => &[(PATH, WORKERS)],
            Self::Semaphore => &[("/recipe/leases", WORKERS), ("/recipe/locks", 1)],
        }
    }
}

/// Guards that the workers hold.
#[derive(Default)]
struct Scene {
    guards: Mutex<[Option<Arc<Guard>>; WORKERS]>,
    tokens: Mutex<Vec<i64>>,
}

impl Scene {
    fn holders(&self) -> Vec<usize> {
        let guards = self.guards.lock().unwrap();
        let held = guards
            .iter()
            .enumerate()
            .filter(|(_, guard)| guard.as_ref().is_some_and(|guard| guard.is_held()));
        held.map(|(worker, _)| worker).collect()
    }

    /// Holds the lock again and again, each time for some seconds, and looks who else does.
    async fn work(&self, recipe: Recipe, client: &Client, worker: usize) {
        loop {
            let guard = Arc::new(recipe.acquire(client, worker).await.unwrap());
            self.tokens.lock().unwrap().push(guard.fencing_token().0);
            self.guards.lock().unwrap()[worker] = Some(guard.clone());
            let work = async {
                loop {
                    // All news of this moment arrives first.
                    quiet().await;
                    let holders = self.holders();
                    assert!(recipe.allows(&holders), "{holders:?} hold it together");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            };
            // The first worker goes on while the connection is lost for a moment, as long as nothing else is known.
            let lost = async {
                while !matches!(guard.holding(), Holding::Lost(_)) {
                    guard.lost().await;
                    if worker != 0 {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::select! {
                () = work => {}
                () = lost => {}
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
            self.guards.lock().unwrap()[worker] = None;
        }
    }
}

fn nobody_is_let_in_wrongly_on(day: &Day, recipe: Recipe) {
    with_server(async |zk| {
        let scene = Arc::new(Scene::default());
        let mut workers = JoinSet::new();
        let mut clients = Vec::new();
        for worker in 0..WORKERS {
            let (client, scene) = (client(zk).await, scene.clone());
            clients.push(client.clone());
            workers.spawn(async move { scene.work(recipe, &client, worker).await });
        }
        day.play(zk).await;
        // Longer than every delay and pause, and than sessions live without a client.
        tokio::time::sleep(6 * TIMEOUT).await;
        assert!(workers.try_join_next().is_none(), "a worker has panicked");

        let holders = scene.holders();
        assert!(!holders.is_empty(), "nobody gets it any more");
        assert!(recipe != Recipe::Semaphore || holders.len() == 2, "{holders:?} of two places");
        for (node, expected) in recipe.nodes() {
            assert!(count(zk, node) <= *expected, "{:?}", zk.children(node));
        }
        let tokens = scene.tokens.lock().unwrap().clone();
        assert!(recipe != Recipe::Lock || tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");

        workers.shutdown().await;
        *scene.guards.lock().unwrap() = Default::default();
        tokio::time::sleep(TIMEOUT).await;
        for (node, _) in recipe.nodes() {
            assert_eq!(count(zk, node), 0, "{:?}", zk.children(node));
        }
    });
}

fn one_leads_after(day: &Day) {
    with_server(async |zk| {
        let mut candidates = Vec::new();
        for _ in 0..WORKERS {
            candidates.push(Election::new(&client(zk).await, PATH).stand());
        }
        let leaders = |candidates: &[Candidate]| candidates.iter().filter(|one| one.is_leader()).count();
        let watch = async {
            loop {
                quiet().await;
                assert!(leaders(&candidates) <= 1, "two lead");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let end = async {
            day.play(zk).await;
            tokio::time::sleep(6 * TIMEOUT).await;
        };
        tokio::select! {
            () = watch => {}
            () = end => {}
        }
        assert_eq!(leaders(&candidates), 1);
        assert_eq!(count(zk, PATH), WORKERS);
        drop(candidates);
        tokio::time::sleep(TIMEOUT).await;
        assert_eq!(count(zk, PATH), 0);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_lock_never_has_two_holders_and_leaves_nothing_on_any_day(day in fair_days()) {
        nobody_is_let_in_wrongly_on(&day, Recipe::Lock);
    }

    #[test]
    fn a_writer_is_never_alone_with_another_on_any_day(day in fair_days()) {
        nobody_is_let_in_wrongly_on(&day, Recipe::ReadWrite);
    }

    #[test]
    fn a_semaphore_never_has_more_holders_than_places_on_any_day(day in fair_days()) {
        nobody_is_let_in_wrongly_on(&day, Recipe::Semaphore);
    }

    #[test]
    fn exactly_one_leads_after_any_day_and_never_two_on_it(day in fair_days()) {
        one_leads_after(&day);
    }
}
