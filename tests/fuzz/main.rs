//! Fuzzing: runs each target on the corpus in `fuzz/` and on mutations of it. A target panics when an input breaks one
//! of its rules.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod corpus;
mod mutator;
#[path = "../api/support/random.rs"]
mod random;
mod targets;
#[path = "../api/support/test_seed.rs"]
#[allow(dead_code)]
mod test_seed;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use rstest::rstest;

use corpus::Corpus;
use mutator::Mutator;
use random::SeededRandom;
use test_seed::test_seed;

/// The number of mutations of all targets without `FUZZ_EXECUTIONS`. They take a few seconds in a debug build.
const EXECUTIONS: u64 = 35_000;
const TARGETS: u64 = 7;
/// The longest time for one input. More time for a few kilobytes shows that the time grows faster than the input.
const INPUT_TIMEOUT: Duration = Duration::from_secs(5);

#[rstest]
#[case::body("body", targets::body)]
#[case::csv("csv", targets::csv)]
#[case::cursors("cursors", targets::cursors)]
#[case::definition("definition", targets::definition)]
#[case::properties("properties", targets::properties)]
#[case::search("search", targets::search)]
#[case::token("token", targets::token)]
fn corpus_and_mutations_break_no_rule(#[case] name: &str, #[case] target: fn(&[u8])) {
    let corpus = Corpus::read(name);
    for entry in &corpus.entries {
        execute(name, target, entry);
    }
    let (count, seed) = (mutator::executions(EXECUTIONS) / TARGETS, test_seed());
    let mut mutator = Mutator::new(SeededRandom::new(seed), corpus::dictionary());
    let begun = Instant::now();
    for _ in 0..count {
        execute(name, target, &mutator.mutate(&corpus.entries));
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{name}: {} entries, {count} mutations of seed {seed} in {seconds:.1} s", corpus.entries.len());
}

/// Runs a target on one input. The panic message contains the input, which is added to the corpus once it is fixed.
fn execute(name: &str, target: fn(&[u8]), input: &[u8]) {
    let begun = Instant::now();
    let outcome = catch_unwind(|| target(input));
    let took = begun.elapsed();
    assert!(outcome.is_ok() && took < INPUT_TIMEOUT, "{name} after {took:?} on b\"{}\"", input.escape_ascii());
}
