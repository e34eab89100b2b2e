//! Providers that fail in every way.

use std::sync::Mutex;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::chance::choices;
use crate::support::{FakeProvider, Reply};

/// Starts the provider and the one that it falls back to.
pub(super) fn start_both(seed: u64) -> [FakeProvider; 2] {
    let providers = [FakeProvider::twilio(), FakeProvider::nexmo()];
    for (provider, index) in providers.iter().zip(1_000..) {
        let chance = Mutex::new(choices(seed, index));
        provider.answer_with(move |_| reply(&mut chance.lock().expect("no thread panicked")));
    }
    let chance = Mutex::new(choices(seed, 2_000));
    providers[0].answer_questions_with(move |request| {
        let chance = &mut chance.lock().expect("no thread panicked");
        match chance.random_range(0..6) {
            0 => Reply::html(500),
            1 => Reply::never(),
            2 => Reply::close(),
            _ if !request.path.contains("/Messages/") => Reply::resource(),
            3 => Reply::undelivered("undelivered", 30003, None),
            _ => Reply::message_status("delivered"),
        }
    });
    providers
}

fn reply(chance: &mut StdRng) -> Reply {
    match chance.random_range(0..24) {
        0 => Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
        // The account's own fault, so that the fallback is called.
        1 => Reply::twilio_error(401, 20003, "Authenticate"),
        2 => Reply::throttled(),
        3 => Reply::html(500),
        4 => Reply::html(503),
        5 => Reply::never(),
        6 => Reply::never().although_accepted(),
        7 => Reply::close(),
        8 => Reply::close().although_accepted(),
        9 => Reply::answer(200, "{\"sid\": "),
        10 => Reply::answer(200, "{\"sid\": ").although_accepted(),
        11 => Reply::accept().cut_off(),
        12 => Reply::html(200).although_accepted(),
        _ => Reply::accept(),
    }
}
