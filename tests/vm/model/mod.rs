// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random sequences of system calls on several files, places and processes,
//! compared step by step with a model of the contract (Q2, Q3, R1, R2, R4, R5,
//! W1 to W3, P1 to P3, F1 to F4).
//!
//! Each sequence follows from its seed. One that fails is shortened, and its
//! message says how to run it again:
//!
//! ```text
//! EVQ_MODEL_SEED=7 cargo test --config qemu/cargo-vm.toml \
//!     --target x86_64-unknown-linux-gnu -p evq-vm-tests --test vm -- model::
//! ```
//!
//! `EVQ_EFFORT=N` runs N times as many as usual.

mod actor;
mod execute;
mod partner;
mod record;
mod reference;
mod step;
mod threads;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::support::modules::{load, Unloaded};
use crate::support::{effort, figure};
use step::{steps, Step};

/// Sequences of a usual run.
const SEQUENCES: u64 = 60;

/// How long a sequence that failed is shortened, in milliseconds.
const SHORTEN_MS: u32 = 60_000;

/// The seeds to run: as many as usual, or the one that was asked for.
pub(crate) fn seeds(usual: u64) -> std::ops::Range<u64> {
    match std::env::var("EVQ_MODEL_SEED") {
        Ok(seed) => {
            let seed = seed
                .parse()
                .unwrap_or_else(|_| panic!("EVQ_MODEL_SEED={seed}: wanted a number"));
            seed..seed + 1
        }
        Err(_) => 0..usual * effort(),
    }
}

/// The random numbers of a seed.
pub(crate) fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Runs the sequence of a seed; panics with the shortest that fails.
fn check(seed: u64) {
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_time: SHORTEN_MS,
        max_shrink_iters: u32::MAX,
        ..Config::default()
    };
    let run = |steps: Vec<Step>| execute::run(&steps).map_err(TestCaseError::fail);
    match TestRunner::new_with_rng(config, rng(seed)).run(&steps(), run) {
        Ok(()) => {}
        Err(TestError::Abort(why)) => panic!("seed {seed}: {why}"),
        Err(TestError::Fail(why, steps)) => {
            let steps: Vec<_> = steps
                .iter()
                .map(|step| format!("    {step:?},\n"))
                .collect();
            panic!(
                "seed {seed}: {why}\nthe shortest sequence that fails:\n{}run it again with \
                 EVQ_MODEL_SEED={seed}",
                steps.concat()
            );
        }
    }
}

/// All of them, on a ring so small that it overflows again and again.
#[test]
fn random_sequences_do_what_the_contract_says() {
    let _guard = Unloaded::new();
    load("evq", "capacity=64").expect("loading evq");
    let seeds = seeds(SEQUENCES);
    println!("sequences from seeds {seeds:?}");
    seeds.clone().for_each(check);
    figure(&format!(
        "random sequences against the model: seeds {seeds:?}"
    ));
}
