//! An election on random bad days: two ways to stand for it, and the shortest day that breaks the careless one.
//!
//! `cargo run -p zk-mini --features proptest --example any_day`

use std::error::Error;
use std::future::ready;
use std::time::Duration;

use tokio::time::sleep;
use zk_client::{Client, CreateMode, Watch, connect_fn};
use zk_mini::ZkMini;
use zk_mini::testing::proptest::prelude::{ProptestConfig, TestCaseError, prop_assert_eq};
use zk_mini::testing::proptest::test_runner::{TestError, TestRunner};
use zk_mini::testing::{Day, days, in_virtual_time};

const TIMEOUT: Duration = Duration::from_secs(10);

const DAYS: u32 = 200;

type AnyError = Box<dyn Error>;

#[derive(Clone, Copy)]
enum Way {
    Careful,
    Careless,
}

fn main() -> Result<(), AnyError> {
    try_days(Way::Careful)?;
    println!("the careful way survives {DAYS} days");

    let broken = try_days(Way::Careless);
    let Err(TestError::Fail(why, day)) = broken else { return Err("the careless way survives".into()) };
    println!("the careless way breaks on {day:?}\n{why}");
    Ok(())
}

/// Tries a way on random days. In a test the macro `proptest!` does this.
fn try_days(way: Way) -> Result<(), TestError<Day>> {
    let config = ProptestConfig { cases: DAYS, failure_persistence: None, ..Default::default() };
    TestRunner::new(config).run(&days(TIMEOUT), |day| everybody_stands_once(way, &day))
}

/// Checks that each candidate has exactly one place in the queue after a day: more than one would keep it from the lead, or
/// in the lead, after it has stepped down.
fn everybody_stands_once(way: Way, day: &Day) -> Result<(), TestCaseError> {
    in_virtual_time(async {
        let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.expect("it starts");
        zk.create("/election", "").await.expect("the parent of all places");
        for name in ["ada", "bob"] {
            let connector = zk.connector();
            let via = connect_fn(move || ready(connector.connect()));
            let client =
                Client::builder().via(via).session_timeout(TIMEOUT).connect().await.expect("it connects");
            tokio::spawn(stand(client, name, way));
        }
        day.play(&zk).await;
        // Long enough for every delay, and for sessions that have lost their client.
        sleep(5 * TIMEOUT).await;

        let mut queue = zk.children("/election").unwrap_or_default();
        queue.sort();
        let names: Vec<_> = queue.iter().filter_map(|place| place.split('-').next()).collect();
        prop_assert_eq!(names, ["ada", "bob"]);
        Ok(())
    })
}

/// Stands for the election, for ever.
async fn stand(client: Client, name: &str, way: Way) {
    loop {
        // After an error, a change of the place, or the end of the session: look again.
        let _ = keep_a_place(&client, name, way).await;
        sleep(Duration::from_millis(200)).await;
    }
}

async fn keep_a_place(client: &Client, name: &str, way: Way) -> Result<(), AnyError> {
    let place = match way {
        // The reply to an earlier create may have been lost.
        Way::Careful => own_place(client, name).await?,
        Way::Careless => None,
    };
    let mut watch = match place {
        Some(watch) => watch,
        None => {
            let path = format!("/election/{name}-");
            let node = client.create(&path, "", CreateMode::EphemeralSequential).await?;
            let (stat, watch) = client.exists_and_watch(&node.path).await?;
            // The session may have expired since.
            let Some(_) = stat else { return Ok(()) };
            watch
        }
    };
    watch.changed().await?;
    Ok(())
}

/// Returns a watch on the place that the present session has.
async fn own_place(client: &Client, name: &str) -> Result<Option<Watch>, AnyError> {
    let (places, _) = client.children("/election").await?;
    let session = client.credentials().map(|credentials| credentials.id);
    for place in places.iter().filter(|place| place.starts_with(&format!("{name}-"))) {
        let (stat, watch) = client.exists_and_watch(&format!("/election/{place}")).await?;
        if stat.map(|stat| stat.ephemeral_owner) == session {
            return Ok(Some(watch));
        }
    }
    Ok(None)
}
