//! The seeds of random tests: a new one in each run, so that the tests explore, and printed, so that a run can be
//! repeated.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write as _;

use proptest::test_runner::{Config, RngSeed};

/// The variable that repeats a run: the seed of all random tests.
const VARIABLE: &str = "TEST_SEED";

/// Returns the seed of the running test: `TEST_SEED`, or a new one. Prints the command that repeats the test with it.
///
/// The line is part of the output of a test that fails. With `CI=true` it is also printed when the test passes.
#[allow(clippy::print_stdout)] // The test harness captures the line, and prints it if the test fails.
pub fn test_seed() -> u64 {
    let seed = std::env::var(VARIABLE).map_or_else(|_| new_seed(), |seed| seed.parse().expect("TEST_SEED is a number"));
    let line = format!("random test: repeat it with {VARIABLE}={seed} cargo test {}", test_filter());
    println!("{line}");
    if std::env::var_os("CI").is_some() {
        // Unlike `eprintln!`, this is not captured. A failure to print is no failure of the test.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    seed
}

/// Returns the configuration of a property test with the seed of the running test.
pub fn proptest_config() -> Config {
    Config { rng_seed: RngSeed::Fixed(test_seed()), ..Config::default() }
}

/// Returns a new seed that is short enough to type.
fn new_seed() -> u64 {
    // The standard library seeds its hashers randomly.
    RandomState::new().build_hasher().finish() % 1_000_000_000
}

/// Returns the arguments that select the running test.
fn test_filter() -> String {
    let program = match env!("CARGO_CRATE_NAME") {
        env!("CARGO_PKG_NAME") => "--lib".to_owned(),
        name => format!("--test {name}"),
    };
    // The test harness names the thread after the test, unless it runs one test at a time.
    match std::thread::current().name().filter(|name| *name != "main") {
        Some(test) => format!("{program} -- --exact {test}"),
        None => program,
    }
}
