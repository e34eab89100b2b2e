//! The `[[test_numbers]]` tables: numbers that always get the same code, and no SMS.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::value::Datetime;

use crate::document::Section;
use crate::model::values::parsed;
use crate::model::{PhoneNumber, SecurityCode};

/// The codes of test numbers.
pub type TestCodes = BTreeMap<PhoneNumber, SecurityCode>;

/// A number that gets no SMS.
#[derive(Debug, Clone)]
pub struct TestNumber {
    /// The number, which need not be in the numbering plan.
    pub phone_number: PhoneNumber,
    /// The code that it always gets.
    pub security_code: SecurityCode,
    /// The last day, in UTC, on which it is a test number.
    pub until: NaiveDate,
}

impl TestNumber {
    /// Returns whether it's an ordinary number again at `now`.
    pub fn has_ended(&self, now: DateTime<Utc>) -> bool {
        now.date_naive() > self.until
    }
}

/// The keys of one table.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Keys {
    #[serde(deserialize_with = "phone_number")]
    phone_number: Option<PhoneNumber>,
    security_code: Option<SecurityCode>,
    #[serde(deserialize_with = "date")]
    until: Option<NaiveDate>,
}

/// Reads a number in E.164. Libphonenumber isn't asked, because loading its data would slow every command down.
fn phone_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PhoneNumber>, D::Error> {
    parsed(deserializer, |text| {
        let number = PhoneNumber::from_stored(text.to_owned());
        let problem = "must be a number in E.164: + and up to 15 digits, without spaces";
        if number.is_e164() { Ok(Some(number)) } else { Err(problem) }
    })
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let date = match Datetime::deserialize(deserializer) {
        Ok(Datetime { date: Some(date), time: None, offset: None }) => {
            NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())
        }
        _ => None,
    };
    let problem = "must be a date such as 2026-12-31, without quotation marks";
    date.map(Some).ok_or_else(|| D::Error::custom(problem))
}

/// Reads the tables, except for those with something wrong.
pub(super) fn read(root: &mut Section<'_, '_>) -> Vec<TestNumber> {
    root.expect_table::<Keys>("test_numbers.1");
    let (mut numbers, mut seen) = (Vec::new(), BTreeSet::new());
    for table in root.list("test_numbers") {
        let mut table = root.inner(&table);
        let Keys { phone_number, security_code, until } = table.read();
        let is_twice = phone_number.as_ref().is_some_and(|number| !seen.insert(number.clone()));
        table.refuse(&["phone_number"], is_twice, "is there already, in another table");
        let phone_number = table.required("phone_number", phone_number);
        let security_code = table.required("security_code", security_code);
        let until = table.required("until", until);
        if let (Some(phone_number), Some(security_code), Some(until)) =
            (phone_number, security_code, until)
        {
            numbers.push(TestNumber { phone_number, security_code, until });
        }
    }
    numbers
}
