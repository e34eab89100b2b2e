//! The ledger `sms_delivery`, read straight from its table, and deliveries that a test inserts.

use super::{Environment, NUMBER};

/// A row of `sms_delivery`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) id: i64,
    /// The id of the record whose code was sent.
    pub(crate) verification_id: String,
    pub(crate) phone_number: String,
    pub(crate) backend: String,
    pub(crate) state: String,
    pub(crate) message_id: Option<String>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) segments: i64,
    pub(crate) tries: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// The arguments that ask the provider about the deliveries to [`NUMBER`].
pub(crate) const REFRESH: [&str; 5] = ["--format", "json", "status", NUMBER, "--refresh"];

/// Every state of a delivery.
pub(crate) const STATES: [&str; 7] =
    ["sending", "accepted", "rejected", "unavailable", "unknown", "delivered", "undelivered"];

/// A delivery to insert.
#[derive(Clone, Debug)]
pub(crate) struct PastDelivery<'a> {
    pub(crate) verification_id: &'a str,
    pub(crate) phone_number: &'a str,
    pub(crate) backend: &'a str,
    pub(crate) state: &'a str,
    pub(crate) message_id: Option<&'a str>,
    /// How many seconds ago it started.
    pub(crate) age: i64,
}

impl Default for PastDelivery<'_> {
    fn default() -> Self {
        Self {
            verification_id: "3f2504e04f8941d39a0c0305e82c3301",
            phone_number: NUMBER,
            backend: "twilio",
            state: "accepted",
            message_id: None,
            age: 60,
        }
    }
}

impl Environment {
    /// Returns the whole ledger, oldest first.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        let rows = self.query(
            "SELECT id, segments, tries, verification_id, phone_number, backend, state, created_at, updated_at,
                 message_id, error_code, error_message FROM sms_delivery ORDER BY id",
        );
        let deliveries = rows.into_iter().map(|mut row| {
            let [message_id, error_code, error_message] = [9, 10, 11].map(|at| row[at].take());
            let mut texts = row.into_iter().map(|text| text.expect("it isn't NULL"));
            let mut text = || texts.next().expect("a column");
            let [id, segments, tries] = [(); 3].map(|()| text().parse().expect("a number"));
            let [verification_id, phone_number, backend, state, created_at, updated_at] =
                [(); 6].map(|()| text());
            Delivery {
                id,
                verification_id,
                phone_number,
                backend,
                state,
                message_id,
                error_code,
                error_message,
                segments,
                tries,
                created_at,
                updated_at,
            }
        });
        deliveries.collect()
    }

    /// Returns the only delivery.
    #[track_caller]
    pub(crate) fn delivery(&self) -> Delivery {
        let mut deliveries = self.deliveries();
        assert_eq!(deliveries.len(), 1, "{deliveries:#?}");
        deliveries.remove(0)
    }

    /// Returns the state of each delivery, oldest first.
    pub(crate) fn states(&self) -> Vec<String> {
        self.deliveries().into_iter().map(|delivery| delivery.state).collect()
    }

    /// Inserts a delivery.
    pub(crate) fn insert_delivery(&self, past: &PastDelivery<'_>) {
        let PastDelivery { verification_id, phone_number, backend, state, message_id, age } = past;
        let message_id = message_id.map_or("NULL".to_owned(), |id| format!("'{id}'"));
        let time = self.time_ago(*age);
        self.execute(&[&format!(
            "INSERT INTO sms_delivery (verification_id, phone_number, backend, state, message_id, segments, tries,
                 created_at, updated_at)
             VALUES ('{verification_id}', '{phone_number}', '{backend}', '{state}', {message_id}, 1, 1, {time}, {time})"
        )]);
    }
}

/// Returns a stored time as JSON shows it.
pub(crate) fn format_rfc3339(stored: &str) -> String {
    let (seconds, decimals) = stored.split_once('.').unwrap_or((stored, "0"));
    format!("{}.{decimals:0<6}Z", seconds.replace(' ', "T"))
}
