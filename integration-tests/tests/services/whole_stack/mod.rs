//! The whole stack in one process, on simulated bad days: registry, discovery and RPC over in-memory streams, with one clock and
//! one seed. Hours pass in a moment, and each run can be repeated exactly.
//!
//! A failing run prints its seed, and the shortest plan that fails. `WHOLE_STACK_SEED=N` runs that seed again;
//! `WHOLE_STACK_RUNS=N` sets the number of seeds, from the first on.

mod invariants;
mod ledger;
mod network;
mod plan;
mod process;
mod world;

use std::env;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRng, TestRunner};

use plan::{Plan, plans};
use world::live;

/// Number of seeds, unless the environment names another.
const RUNS: u64 = 200;

#[test]
fn the_whole_stack_survives_any_plan() {
    let first = number("WHOLE_STACK_SEED");
    let runs = number("WHOLE_STACK_RUNS").unwrap_or(if first.is_some() { 1 } else { RUNS });
    let first = first.unwrap_or(0);
    for seed in first..first + runs {
        let survived = runner(seed).run(&plans(), |plan| live(&plan).map(drop).map_err(TestCaseError::fail));
        match survived {
            Ok(()) => {}
            Err(TestError::Fail(broken, plan)) => {
                panic!("{broken}\nshortest plan of WHOLE_STACK_SEED={seed}: {plan:?}")
            }
            Err(TestError::Abort(reason)) => panic!("WHOLE_STACK_SEED={seed}: {reason}"),
        }
    }
}

#[test]
fn a_plan_happens_the_same_way_each_time() {
    for seed in 0..20 {
        let plan = plan_of(seed);
        let (one, other) = (live(&plan).unwrap(), live(&plan).unwrap());
        let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}: {plan:?}");
        assert_eq!(one.len(), other.len(), "seed {seed}: {plan:?}");
    }
}

fn plan_of(seed: u64) -> Plan {
    plans().new_tree(&mut runner(seed)).expect("every seed has a plan").current()
}

/// Returns a runner of one case: the plan of this seed.
fn runner(seed: u64) -> TestRunner {
    let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &bytes))
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}
