//! Hostile input: each target is run on the corpus of `fuzz/`, and on mutations of it. No input may make one panic, or
//! break a rule that it holds. `FUZZ_EXECUTIONS` says how many there are in all, `FUZZ_SEED` which.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod corpus;
#[path = "../api/support/dice.rs"]
mod dice;
mod mutator;
mod targets;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use rstest::rstest;

use corpus::Corpus;
use dice::Dice;
use mutator::Mutator;

/// So many as take a few seconds in a debug build.
const EXECUTIONS: u64 = 35_000;
const TARGETS: u64 = 7;
/// What takes longer than this for a few kilobytes grows faster than its input.
const PATIENCE: Duration = Duration::from_secs(5);

#[rstest]
#[case::body("body", targets::body)]
#[case::csv("csv", targets::csv)]
#[case::cursors("cursors", targets::cursors)]
#[case::definition("definition", targets::definition)]
#[case::properties("properties", targets::properties)]
#[case::search("search", targets::search)]
#[case::token("token", targets::token)]
fn no_input_breaks(#[case] name: &str, #[case] target: fn(&[u8])) {
    let corpus = Corpus::of(name);
    for entry in &corpus.entries {
        execute(name, target, entry);
    }
    let (executions, seed) = (from_environment("FUZZ_EXECUTIONS", EXECUTIONS), from_environment("FUZZ_SEED", 1));
    let mut mutator = Mutator::new(Dice::new(seed), corpus::dictionary());
    let begun = Instant::now();
    for _ in 0..executions / TARGETS {
        execute(name, target, &mutator.mutated(&corpus.entries));
    }
    let (count, seconds) = (executions / TARGETS, begun.elapsed().as_secs_f64());
    println!("{name}: {} entries, {count} mutations of seed {seed} in {seconds:.1} s", corpus.entries.len());
}

/// Runs a target, and says with which input it failed: that belongs into the corpus, once it passes.
fn execute(name: &str, target: fn(&[u8]), input: &[u8]) {
    let begun = Instant::now();
    let outcome = catch_unwind(|| target(input));
    let took = begun.elapsed();
    assert!(outcome.is_ok() && took < PATIENCE, "{name} after {took:?} on b\"{}\"", input.escape_ascii());
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().unwrap())
}
