//! The records that the program stored, read straight from the table, and the sends and verifications that use them.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::{Accepted, Environment, NUMBER, Run};

/// A row of `sms_verification`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredRecord {
    pub(crate) id: String,
    pub(crate) created_at: String,
    pub(crate) phone_number: String,
    pub(crate) security_code: String,
    pub(crate) session_token: String,
    pub(crate) is_verified: bool,
    pub(crate) failed_attempts: u32,
}

impl Environment {
    /// Returns all records, oldest first.
    pub(crate) fn records(&self) -> Vec<StoredRecord> {
        let rows = self.query(&format!(
            "SELECT id, created_at, phone_number, security_code, session_token, is_verified, failed_attempts
             FROM sms_verification ORDER BY created_at, {}",
            self.order()
        ));
        let records = rows.into_iter().map(|row| {
            let row: Vec<_> = row.into_iter().flatten().collect();
            let [id, created_at, phone_number, security_code, session_token, is_verified, failed] =
                row.try_into().expect("no column is NULL");
            StoredRecord {
                id,
                created_at,
                phone_number,
                security_code,
                session_token,
                is_verified: is_verified == "1",
                failed_attempts: failed.parse().expect("a number"),
            }
        });
        records.collect()
    }

    /// Returns the only record.
    #[track_caller]
    pub(crate) fn record(&self) -> StoredRecord {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "{records:#?}");
        records.remove(0)
    }

    /// Sends to [`NUMBER`], asserts the exit code, and returns the line of JSON.
    #[track_caller]
    pub(crate) fn send_json(&self, code: i32) -> Value {
        self.run(&["--format", "json", "send", NUMBER]).expect_code(code).json()
    }

    /// Sends to `number`, which has to work, and returns its record.
    #[track_caller]
    pub(crate) fn send(&self, number: &str) -> StoredRecord {
        let run = self.run(&["--format", "json", "send", number]).expect_code(0);
        self.record_of_token(&run.session_token())
    }

    /// Returns the record with this session token.
    #[track_caller]
    pub(crate) fn record_of_token(&self, token: &str) -> StoredRecord {
        let records = self.records();
        let found = records.iter().find(|record| record.session_token == token);
        found.unwrap_or_else(|| panic!("no record has the token {token}: {records:#?}")).clone()
    }

    /// Runs `verify` with the code and the session token of `record`.
    pub(crate) fn verify(&self, record: &StoredRecord) -> Run {
        let StoredRecord { phone_number, security_code, session_token, .. } = record;
        self.run(&["verify", phone_number, security_code, "--session-token", session_token])
    }

    /// Asserts that the code of each accepted message is stored for its number.
    #[track_caller]
    pub(crate) fn expect_records_of(&self, accepted: &[Accepted]) {
        let stored: HashSet<(String, String)> = self
            .records()
            .into_iter()
            .map(|record| (record.phone_number, record.security_code))
            .collect();
        for accepted in accepted {
            let code = code_in(&accepted.text).to_owned();
            assert!(stored.contains(&(accepted.phone_number.clone(), code)), "lost: {accepted:#?}");
        }
    }
}

impl Run {
    /// Returns the session token in the only line of JSON.
    #[track_caller]
    pub(crate) fn session_token(&self) -> String {
        self.json()["session_token"].as_str().expect("a session token").to_owned()
    }
}

/// Returns whether `key` signed this session token, a JWT, with HS256.
#[track_caller]
pub(crate) fn is_signed_with(token: &str, key: &str) -> bool {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length");
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url without padding");
    mac.verify_slice(&signature).is_ok()
}

/// Returns the security code in the message `text`.
#[track_caller]
pub(crate) fn code_in(text: &str) -> &str {
    let is_code = |word: &&str| word.len() >= 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    text.split_whitespace().find(is_code).unwrap_or_else(|| panic!("no code in {text:?}"))
}

/// Returns `kind` and `code` of the error in a JSON line of `send`.
#[track_caller]
pub(crate) fn error_of(line: &Value) -> (&str, Option<&str>) {
    assert_eq!(line["status"], "failed", "{line:#}");
    assert!(line["error"]["message"].is_string(), "{line:#}");
    let code = &line["error"]["code"];
    assert!(code.is_string() || code.is_null(), "{line:#}");
    (line["error"]["kind"].as_str().expect("a kind"), code.as_str())
}

/// Returns `kind`, `code` and `message` of the error in a JSON line of `send`.
#[track_caller]
pub(crate) fn refusal_of(line: &Value) -> (&str, Option<&str>, &str) {
    let (kind, code) = error_of(line);
    (kind, code, line["error"]["message"].as_str().expect("words"))
}
