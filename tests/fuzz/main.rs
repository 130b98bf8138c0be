//! Hostile input: each target is run on the corpus of `fuzz/`, and on mutations of it. No input may make one panic, or
//! break a rule that it holds.

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
    let (count, seed) = (mutator::executions(EXECUTIONS) / TARGETS, mutator::seed());
    let mut mutator = Mutator::new(Dice::new(seed), corpus::dictionary());
    let begun = Instant::now();
    for _ in 0..count {
        execute(name, target, &mutator.mutated(&corpus.entries));
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{name}: {} entries, {count} mutations of seed {seed} in {seconds:.1} s", corpus.entries.len());
}

/// Runs a target, and says with which input it failed: that belongs into the corpus, once it passes.
fn execute(name: &str, target: fn(&[u8]), input: &[u8]) {
    let begun = Instant::now();
    let outcome = catch_unwind(|| target(input));
    let took = begun.elapsed();
    assert!(outcome.is_ok() && took < PATIENCE, "{name} after {took:?} on b\"{}\"", input.escape_ascii());
}
