//! The metrics of the key set. They exist in every process: without a key set, both stay 0.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const AGE: &str = "contacts_jwks_age_seconds";
const FAILURES: &str = "contacts_jwks_fetch_failures_total";

/// Registers the metrics.
pub(super) fn register() {
    describe_gauge!(
        AGE,
        Unit::Seconds,
        "Time since the key set was last read, or since the start of the process if it never was. 0 without a key set."
    );
    describe_counter!(FAILURES, "Attempts to read the key set that failed.");
    set_age(Duration::ZERO);
    counter!(FAILURES).increment(0);
}

/// Sets the time since the key set was last read.
pub(super) fn set_age(age: Duration) {
    gauge!(AGE).set(age.as_secs_f64());
}

/// Counts a failed attempt to read the key set.
pub(super) fn count_failure() {
    counter!(FAILURES).increment(1);
}
