//! What the providers' codes mean, in words for the person who has a customer on the phone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// What an HTTP status means if a provider gives no code of its own.
pub(super) static HTTP: Codes = Codes::new(include_str!("codes/http.toml"));

/// What is responsible for a failure.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Cause {
    /// The number: it can't be reached, or mustn't be.
    Number,
    /// Our account at the provider, or the settings here.
    Account,
    /// Our sender at the provider.
    Sender,
    /// The text.
    Content,
    /// The carrier of the number.
    Carrier,
    /// A passing problem at the provider or a carrier.
    Temporary,
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

/// What a code means, and what to do about it; nothing if it isn't known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What is responsible.
    pub cause: Option<Cause>,
    /// What happened.
    pub explanation: Option<String>,
    /// What to do next.
    pub next: Option<String>,
    /// The page of the provider, or of the standard, about the code.
    #[serde(skip)]
    pub page: Option<String>,
}

/// The entry of a code.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeEntry {
    cause: Option<Cause>,
    explanation: String,
    next: String,
    page: String,
}

impl CodeEntry {
    /// Returns the explanation for an SMS from `sender`.
    pub(super) fn for_sender(&self, sender: Option<&str>) -> Explanation {
        let number = sender.filter(|sender| sender.starts_with('+'));
        let sender = number.unwrap_or("the number that the SMS came from");
        Explanation {
            cause: self.cause,
            explanation: Some(self.explanation.clone()),
            next: Some(self.next.replace("{sender}", sender)),
            page: Some(self.page.clone()),
        }
    }
}

/// The codes of a provider.
pub(super) struct Codes {
    document: &'static str,
    by_code: OnceLock<BTreeMap<String, CodeEntry>>,
}

impl Codes {
    /// Returns the codes of a TOML document, which has a table for each.
    pub(super) const fn new(document: &'static str) -> Self {
        Self { document, by_code: OnceLock::new() }
    }

    /// Returns whether the reason is the provider's own, so that another provider may well accept the SMS; None if the code isn't
    /// known.
    pub(super) fn is_providers_own(&self, code: &str) -> Option<bool> {
        let cause = self.explain(code)?.cause;
        Some(matches!(cause, Some(Cause::Account | Cause::Sender)))
    }

    /// Returns what `code` means, if that is known. A class of codes, such as 4xx, stands for those without a table.
    pub(super) fn explain(&self, code: &str) -> Option<&CodeEntry> {
        let parse = || toml::from_str(self.document).expect("a test reads the document");
        let by_code = self.by_code.get_or_init(parse);
        let is_status = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        let class = || by_code.get(&format!("{}xx", code.get(..1).filter(|_| is_status)?));
        by_code.get(code).or_else(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::{Kind, explain, kinds, nexmo, twilio};

    #[test]
    fn every_code_is_explained_in_whole_sentences() {
        for codes in [&HTTP, &twilio::CODES, &nexmo::CODES] {
            codes.explain("");
            let by_code = codes.by_code.get().unwrap();
            assert!(by_code.len() > 10);
            for (code, CodeEntry { explanation, next, page, .. }) in by_code {
                for sentence in [explanation, next] {
                    assert!(sentence.ends_with('.') && sentence.len() < 200, "{code}: {sentence}");
                    assert!(sentence.starts_with(char::is_uppercase), "{code}: {sentence}");
                }
                assert!(page.starts_with("https://"), "{code}: {page}");
            }
        }
    }

    #[test]
    fn what_a_send_can_meet_is_explained() {
        let twilio = [10001, 20003, 20005, 20404, 20429, 21211, 21212, 21408, 21635, 21656, 21910];
        let twilio = twilio.into_iter().chain(21601..=21617).chain(21659..=21661);
        let twilio = twilio.chain(21701..=21705).chain(30001..=30008).chain([30019, 30410]);
        for code in twilio.chain(30022..=30039).chain([30450, 30500]) {
            assert!(twilio::CODES.explain(&code.to_string()).is_some(), "{code}");
        }
        for code in (1..=16).chain([19, 20, 22, 23, 29, 32, 33]) {
            assert!(nexmo::CODES.explain(&code.to_string()).is_some(), "{code}");
        }
    }

    #[test]
    fn a_backend_has_only_its_own_codes_and_those_of_http_beside_them() {
        for (code, expected) in [
            ("21610", ["twilio", "twilio-sandbox"].as_slice()),
            ("29", &["nexmo", "nexmo-sandbox"]),
            ("401", &["twilio", "twilio-sandbox", "nexmo", "nexmo-sandbox"]),
        ] {
            let is_explained = |name: &&str| explain(name, Some(code), None).explanation.is_some();
            let backends = kinds().map(Kind::name).filter(is_explained);
            assert_eq!(backends.collect::<Vec<_>>(), expected, "{code}");
        }
    }

    #[test]
    fn a_status_without_an_entry_is_explained_by_its_class() {
        assert_eq!(HTTP.explain("418"), HTTP.explain("4xx"));
        assert_ne!(HTTP.explain("401"), HTTP.explain("4xx"));
        for unknown in ["200", "42", "4000", "", "é00", "4AB"] {
            assert_eq!(HTTP.explain(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_person_who_said_stop_is_told_where_to_text_start() {
        let stop = twilio::CODES.explain("21610").unwrap();
        let next = |sender| stop.for_sender(sender).next.unwrap();
        assert!(next(Some("+14155552671")).contains("START to +14155552671,"));
        for nameless in [Some("Acme"), None] {
            assert!(next(nameless).contains("START to the number that the SMS came from,"));
        }
    }
}
