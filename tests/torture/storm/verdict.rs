//! What has to be true after a storm.

use std::collections::BTreeMap;

use super::{Attempt, Log, Storm, report};
use crate::support::code_in;

/// The wrong codes that a record has without a setting.
const WRONG_CODES_PER_RECORD: usize = 5;
pub(super) const WRONG_CODES_PER_NUMBER: usize = 12;

const VALID: Option<i32> = Some(0);
const INVALID: Option<i32> = Some(11);

impl Storm {
    /// Asserts everything that the reference promises.
    pub(super) fn expect_order(self) {
        self.environment.expect_soundness();
        let run = self.environment.run(&["--format", "json", "doctor"]);
        for check in run.json_lines() {
            let is_of_database =
                check["check"].as_str().is_some_and(|it| it.starts_with("database."));
            assert!(!is_of_database || check["status"] != "failure", "{check:#}");
        }
        self.expect_records();
        let Log { runs, killed, registered, attempts } = &*self.log.lock().expect("it is over");
        let session = |it: &Attempt| (it.phone_number.clone(), it.session_token.clone());
        for attempts in group(attempts, session).values() {
            let valid = attempts.iter().filter(|it| it.answer == VALID && !it.is_by_site).count();
            assert!(valid <= 1, "a code was valid {valid} times");
            expect_limit(attempts, WRONG_CODES_PER_RECORD);
        }
        for attempts in group(attempts, |it| it.phone_number.clone()).values() {
            expect_limit(attempts, WRONG_CODES_PER_NUMBER);
        }
        let accepted = self.providers.each_ref().map(|it| it.accepted().len());
        let answers = group(attempts, |it| it.answer).into_iter();
        let answers: BTreeMap<_, _> = answers.map(|(answer, them)| (answer, them.len())).collect();
        report(&format!(
            "{runs} runs, {killed} killed, {accepted:?} SMS accepted, {registered} numbers registered by a site, answers of \
                verify: {answers:?}"
        ));
    }

    /// Asserts that each message that was accepted had its record before it left, and has it still or a newer one, unless the
    /// number was erased; that it has a delivery of its own, and that no number of a list got two.
    fn expect_records(&self) {
        let stored =
            self.environment.query("SELECT phone_number, security_code, created_at FROM stored");
        let stored: BTreeMap<_, _> = stored
            .into_iter()
            .map(|row| <[_; 3]>::try_from(row).expect("three columns"))
            .map(|row| row.map(Option::unwrap_or_default))
            .map(|[number, code, time]| ((number, code), time))
            .collect();
        // The newest one of each number is the last.
        let records = self.environment.records().into_iter();
        let newest: BTreeMap<_, _> = records.map(|it| (it.phone_number, it.created_at)).collect();
        let mut delivered: BTreeMap<String, usize> = BTreeMap::new();
        for (number, state) in self.environment.states_by_number() {
            let may_have_left = !["rejected", "unavailable"].contains(&state.as_str());
            *delivered.entry(number).or_default() += usize::from(may_have_left);
        }
        let accepted = self.providers.iter().flat_map(|it| it.accepted());
        let accepted: Vec<_> =
            accepted.map(|it| (it.phone_number, code_in(&it.text).to_owned())).collect();
        for message in &accepted {
            let created_at = stored.get(message);
            let created_at =
                created_at.unwrap_or_else(|| panic!("it never had a record: {message:?}"));
            let newest = newest.get(&message.0);
            let is_erased = self.numbers.erased.contains(&message.0);
            let is_there = newest.is_some_and(|newest| created_at <= newest);
            assert!(
                is_there || is_erased,
                "lost: {message:?} of {created_at}; {newest:?} is there"
            );
        }
        for (number, messages) in group(&accepted, |it| it.0.clone()) {
            let delivered = delivered.get(&number).copied().unwrap_or_default();
            let is_erased = self.numbers.erased.contains(&number);
            assert!(
                messages.len() <= delivered || is_erased,
                "{messages:?}: {delivered} deliveries"
            );
            let is_listed = self.numbers.lists.iter().any(|list| list.contains(&number));
            assert!(messages.len() == 1 || !is_listed, "sent twice to {number}");
        }
    }
}

/// Asserts that no more wrong codes were compared than `limit` between two valid ones. Codes that a site compares don't count,
/// but those that it found valid do, and those of killed programs may have been.
fn expect_limit(attempts: &[&Attempt], limit: usize) {
    let invalid = attempts.iter().filter(|it| it.answer == INVALID && !it.is_by_site).count();
    let resets = attempts.iter().filter(|it| match it.answer {
        None => it.is_right,
        answer => answer == VALID,
    });
    let limit = limit * (resets.count() + 1);
    assert!(invalid <= limit, "{invalid} wrong codes were compared, and not {limit} at most");
}

fn group<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> BTreeMap<K, Vec<&T>> {
    let mut groups: BTreeMap<K, Vec<&T>> = BTreeMap::new();
    for item in items {
        groups.entry(key(item)).or_default().push(item);
    }
    groups
}
