//! A `send` to many numbers that ends early.

use super::{Environment, FakeProvider, numbers, send_file_with, sorted};

/// Lets four requests be in flight, and gives tests all the time they need to look at them.
pub(crate) const FOUR_IN_FLIGHT: &str = "[delivery]\nmax_in_flight = 4\ntimeout_seconds = 300";

/// Returns a provider, and an environment with [`FOUR_IN_FLIGHT`] and `count` numbers in a file.
pub(crate) fn set_up_four_in_flight(count: usize) -> (FakeProvider, Environment) {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", FOUR_IN_FLIGHT);
    environment.write_numbers(&numbers(count));
    (provider, environment)
}

/// Asserts that every accepted message has its record and its line in the ledger, and that the ledger has no other message as
/// sent or on its way.
#[track_caller]
pub(crate) fn expect_settled(provider: &FakeProvider, environment: &Environment) {
    environment.expect_records_of(&provider.accepted());
    assert_eq!(environment.numbers_in_state("accepted"), provider.accepted_numbers());
    assert_eq!(environment.numbers_in_state("sending"), [""; 0]);
}

/// Runs the same command with `--resume`, and asserts that each number has been accepted once in the end.
#[track_caller]
pub(crate) fn expect_the_rest_on_resume(
    provider: &FakeProvider,
    environment: &Environment,
    count: usize,
) {
    environment.run(&send_file_with(&["--resume"])).expect_code(0);
    assert_eq!(provider.accepted_numbers(), sorted(numbers(count)));
    assert_eq!(environment.numbers_of_records(), sorted(numbers(count)));
}
