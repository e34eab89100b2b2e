//! The random choices of these tests, and what they need of the machine.

use std::env;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The variable with the seed of a run that is to be repeated.
const SEED: &str = "PHONE_VERIFY_TEST_SEED";
/// The variable with the number of seconds that each storm lasts.
const SECONDS: &str = "PHONE_VERIFY_TEST_SECONDS";
/// If this variable is set, a test fails when it misses a program, and isn't skipped.
const REQUIRED: &str = "PHONE_VERIFY_TEST_REQUIRE_TOOLS";

/// Returns the seed of this test and prints it.
pub(crate) fn choose_seed() -> u64 {
    let seed =
        env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    report(&format!("{SEED}={seed}"));
    seed
}

/// Returns random choices that follow from `seed`, other ones for each `index`.
pub(crate) fn choices(seed: u64, index: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_add(index))
}

/// Returns how long each storm lasts: short enough for every change unless somebody asks for more.
pub(crate) fn seconds() -> Duration {
    let seconds = env::var(SECONDS).map_or(15, |seconds| seconds.parse().expect("a number"));
    Duration::from_secs(seconds)
}

/// Says that something is left out because `what` is missing, or fails the test if nothing may be missing.
pub(crate) fn report_missing(what: &str) {
    assert!(env::var_os(REQUIRED).is_none(), "{what} is missing");
    report(&format!("skipped without {what}"));
}

/// Says something to whoever runs the tests.
pub(crate) fn report(what: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    // The test harness would keep to itself what eprintln! prints.
    let _ = writeln!(io::stderr(), "{test}: {what}");
}
