//! The log of a provider.

use std::collections::HashMap;
use std::time::Instant;

use super::connection::Request;
use super::documents::Documents;

/// Everything that has happened at a provider so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// The requests, in the order they arrived.
    pub(crate) requests: Vec<Request>,
    /// The accepted messages, in order. A message counts before its answer is sent, as at a real provider.
    pub(crate) accepted: Vec<Accepted>,
    /// The mistakes of the requests.
    pub(crate) violations: Vec<String>,
    /// How many connections were made, including those without a request.
    pub(crate) connections: usize,
    /// How many requests were answered, or abandoned by either side.
    pub(crate) finished: usize,
    /// How many requests are waiting for their answer.
    pub(crate) in_flight: usize,
    /// The highest number of requests that were waiting at the same time.
    pub(crate) most_in_flight: usize,
    /// When each phone number may be tried again, after an answer asked for a pause.
    closed_until: HashMap<String, Instant>,
}

/// A message that a provider accepted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Accepted {
    pub(crate) phone_number: String,
    pub(crate) text: String,
    /// The id in the answer.
    pub(crate) message_id: String,
}

impl Log {
    pub(super) fn add(&mut self, request: &Request, documents: &Documents) {
        let violations = documents.violations(request);
        self.violations.extend(
            violations.into_iter().map(|what| format!("request {}: {what}", self.requests.len())),
        );
        let phone_number = documents.phone_number(request);
        if self.closed_until.get(&phone_number).is_some_and(|reopening| Instant::now() < *reopening)
        {
            self.violations.push(format!("{phone_number} came back before Retry-After"));
        }
        self.requests.push(request.clone());
        self.in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
    }

    /// Accepts a message and returns its id.
    pub(super) fn accept(&mut self, request: &Request, documents: &Documents) -> String {
        let message_id = documents.message_id(self.accepted.len() + 1);
        self.accepted.push(Accepted {
            phone_number: documents.phone_number(request),
            text: documents.text(request),
            message_id: message_id.clone(),
        });
        message_id
    }

    /// Returns the accepted message that a question is about.
    pub(super) fn message_asked_about(&self, question: &Request) -> Option<&Accepted> {
        self.accepted.iter().find(|accepted| question.path.contains(&accepted.message_id))
    }

    /// Objects to requests for `phone_number` before `reopening`.
    pub(super) fn close_until(&mut self, phone_number: String, reopening: Instant) {
        self.closed_until.insert(phone_number, reopening);
    }
}
