//! The replies of a provider, as a test scripts them.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Shared;
use super::connection::Request;
use crate::support::DEADLINE;

/// What a provider does with a request.
#[derive(Clone)]
pub(crate) struct Reply {
    action: Action,
    accepts: bool,
    cut_off: bool,
    retry_after: Option<RetryAfter>,
}

#[derive(Clone)]
enum Action {
    Accept,
    Answer { status: u16, headers: Vec<(String, String)>, body: String },
    Message(MessageStatus),
    Resource { ahead_by: i64 },
    Close,
    Wait,
    Hold(Arc<Gate>),
}

/// What Twilio says about a message that it accepted.
#[derive(Clone)]
pub(super) struct MessageStatus {
    pub(super) status: String,
    pub(super) error_code: Option<u32>,
    pub(super) error_message: Option<String>,
}

/// The two forms of the header, with the pause in seconds.
#[derive(Clone, Copy)]
enum RetryAfter {
    Seconds(u64),
    Date(u64),
}

/// What the connection does next.
pub(super) enum Next {
    Answer { bytes: Vec<u8>, stays_open: bool },
    Close,
    Wait,
}

impl Reply {
    /// Accepts the message, with the answer in the provider's documents.
    pub(crate) fn accept() -> Self {
        Self { accepts: true, ..Self::new(Action::Accept) }
    }

    /// Answers with this status and this JSON.
    pub(crate) fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::new(Action::Answer { status, headers: Vec::new(), body: body.into() })
            .header("Content-Type", "application/json")
    }

    /// Answers with this status and this text.
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(Action::Answer { status, headers: Vec::new(), body: body.into() })
            .header("Content-Type", "Text/Plain;charset=utf-8")
    }

    /// Answers with this status and a page of HTML, as a proxy or a load balancer does.
    pub(crate) fn html(status: u16) -> Self {
        let body = "<!DOCTYPE html><html><body><h1>Sorry</h1></body></html>".to_owned();
        Self::new(Action::Answer { status, headers: Vec::new(), body })
            .header("Content-Type", "text/html; charset=utf-8")
    }

    /// Refuses as Twilio does, with this HTTP status, code and message.
    pub(crate) fn twilio_error(status: u16, code: u32, message: &str) -> Self {
        let more_info = format!("https://www.twilio.com/docs/errors/{code}");
        let body =
            json!({"code": code, "message": message, "more_info": more_info, "status": status});
        Self::answer(status, body.to_string())
    }

    /// Refuses as Twilio does when there are too many requests.
    pub(crate) fn throttled() -> Self {
        Self::twilio_error(429, 20429, "Too Many Requests")
    }

    /// Answers as Nexmo (Vonage) does to a message of one part, with this status and `error-text`.
    pub(crate) fn nexmo_error(status: &str, words: &str) -> Self {
        Self::nexmo_parts(&[(status, words)])
    }

    /// Answers as Nexmo (Vonage) does, with an entry for each part: its status and its `error-text`.
    pub(crate) fn nexmo_parts(parts: &[(&str, &str)]) -> Self {
        let entry = |(number, (status, words)): (usize, &(&str, &str))| match *status {
            "0" => json!({"to": "14155552671", "message-id": format!("0A000000000000{number:02X}"),
                "status": "0", "remaining-balance": "3.14159265", "message-price": "0.03330000"}),
            _ => json!({"status": status, "error-text": words}),
        };
        let messages: Vec<_> = parts.iter().enumerate().map(entry).collect();
        let body = json!({"message-count": parts.len().to_string(), "messages": messages});
        Self::answer(200, body.to_string())
    }

    /// Answers a question about a message as Twilio does, with this status.
    pub(crate) fn message_status(status: &str) -> Self {
        let status = status.to_owned();
        Self::new(Action::Message(MessageStatus { status, error_code: None, error_message: None }))
    }

    /// Answers a question about a message as Twilio does, with this status and the reason. Twilio often leaves out the words.
    pub(crate) fn undelivered(status: &str, code: u32, words: Option<&str>) -> Self {
        Self::new(Action::Message(MessageStatus {
            status: status.to_owned(),
            error_code: Some(code),
            error_message: words.map(str::to_owned),
        }))
    }

    /// Answers a question with the resource in the provider's documents, and with the date.
    pub(crate) fn resource() -> Self {
        Self::new(Action::Resource { ahead_by: 0 })
    }

    /// The same from a provider whose clock is ahead by so many seconds.
    pub(crate) fn resource_ahead_by(seconds: i64) -> Self {
        Self::new(Action::Resource { ahead_by: seconds })
    }

    /// Closes the connection instead of answering.
    pub(crate) fn close() -> Self {
        Self::new(Action::Close)
    }

    /// Never answers, but keeps the connection open.
    pub(crate) fn never() -> Self {
        Self::new(Action::Wait)
    }

    /// Adds a header to an answer.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Action::Answer { headers, .. } = &mut self.action {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Asks for a pause of `seconds`. A client that comes back earlier fails the test.
    pub(crate) fn retry_after_seconds(mut self, seconds: u64) -> Self {
        self.retry_after = Some(RetryAfter::Seconds(seconds));
        self
    }

    /// The same, as a date that is `seconds` ahead.
    pub(crate) fn retry_after_date(mut self, seconds: u64) -> Self {
        self.retry_after = Some(RetryAfter::Date(seconds));
        self
    }

    /// Accepts the message, whatever the answer says.
    pub(crate) fn although_accepted(mut self) -> Self {
        self.accepts = true;
        self
    }

    /// Announces the whole answer, sends half of it, and closes the connection.
    pub(crate) fn cut_off(mut self) -> Self {
        self.cut_off = true;
        self
    }

    /// Waits until the test releases the request, by means of the second half.
    pub(super) fn hold() -> (Self, HeldRequest) {
        let (arrived, requests) = mpsc::channel();
        let (release, replies) = mpsc::channel();
        let gate = Gate { arrived, replies: Mutex::new(replies) };
        (Self::new(Action::Hold(Arc::new(gate))), HeldRequest { requests, release })
    }

    fn new(action: Action) -> Self {
        Self { action, accepts: false, cut_off: false, retry_after: None }
    }

    /// Updates the log, and returns what the connection does next.
    pub(super) fn prepare(self, shared: &Shared, request: &Request) -> Next {
        if let Action::Hold(gate) = &self.action {
            let released = gate.wait(shared, request);
            return released.unwrap_or_else(Self::close).prepare(shared, request);
        }
        let (retry_after, reopening) = match self.retry_after.map(RetryAfter::to_header) {
            Some((value, reopening)) => (Some(value), Some(reopening)),
            None => (None, None),
        };
        let message_id = shared.record(|log| {
            // The request ends before its answer is sent, since the client may send the next one as soon as it has the answer.
            log.in_flight -= usize::from(!matches!(self.action, Action::Wait));
            if let Some(reopening) = reopening {
                log.close_until(shared.documents.phone_number(request), reopening);
            }
            if self.accepts { log.accept(request, &shared.documents) } else { String::new() }
        });
        let (status, mut headers, body) = match self.action {
            Action::Close | Action::Hold(_) => return Next::Close,
            Action::Wait => return Next::Wait,
            Action::Accept => shared.documents.acceptance(request, &message_id),
            Action::Message(status) => {
                let message = shared.state().log.message_asked_about(request).cloned();
                shared.documents.message_resource(request, message.as_ref(), &status)
            }
            Action::Resource { ahead_by } => {
                let (status, mut headers, body) = shared.documents.resource(request);
                headers.push(("Date".to_owned(), date(ahead_by)));
                (status, headers, body)
            }
            Action::Answer { status, headers, body } => (status, headers, body),
        };
        headers.extend(retry_after.map(|value| ("Retry-After".to_owned(), value)));
        let mut bytes = head(status, &headers, body.len()).into_bytes();
        let sent = if self.cut_off { body.len() / 2 } else { body.len() };
        bytes.extend_from_slice(&body.as_bytes()[..sent]);
        Next::Answer { bytes, stays_open: !self.cut_off }
    }
}

impl RetryAfter {
    /// Returns the header's value and the moment when the pause ends.
    #[expect(
        clippy::disallowed_methods,
        reason = "the date in a header comes from the system's clock"
    )]
    fn to_header(self) -> (String, Instant) {
        let now = Instant::now();
        match self {
            Self::Seconds(seconds) => (seconds.to_string(), now + Duration::from_secs(seconds)),
            Self::Date(seconds) => {
                let clock = std::time::SystemTime::now();
                let date = httpdate::fmt_http_date(clock + Duration::from_secs(seconds));
                // The header has whole seconds, so the pause may end a fraction of a second earlier.
                let meant = httpdate::parse_http_date(&date).expect("a date");
                (date, now + meant.duration_since(clock).unwrap_or_default())
            }
        }
    }
}

/// Returns the date that is `seconds` ahead, as a header has it.
#[expect(clippy::disallowed_methods, reason = "the date in a header comes from the system's clock")]
fn date(seconds: i64) -> String {
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    httpdate::fmt_http_date((now + chrono::TimeDelta::seconds(seconds)).into())
}

/// Returns the status line and the headers of an answer.
fn head(status: u16, headers: &[(String, String)], length: usize) -> String {
    let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// The provider's side of a held request.
struct Gate {
    arrived: mpsc::Sender<Request>,
    replies: Mutex<mpsc::Receiver<Reply>>,
}

impl Gate {
    /// Reports the arrival and waits for the test. Returns `None` if the test is over.
    fn wait(&self, shared: &Shared, request: &Request) -> Option<Reply> {
        self.arrived.send(request.clone()).ok()?;
        let replies = self.replies.lock().expect("no thread panicked with the lock");
        loop {
            match replies.recv_timeout(Duration::from_millis(50)) {
                Ok(reply) => return Some(reply),
                Err(mpsc::RecvTimeoutError::Timeout) if !shared.is_stopped() => {}
                Err(_) => return None,
            }
        }
    }
}

/// The test's side of a held request.
pub(crate) struct HeldRequest {
    requests: mpsc::Receiver<Request>,
    release: mpsc::Sender<Reply>,
}

impl HeldRequest {
    /// Waits until the request has arrived, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_arrival(&self) -> Request {
        self.requests.recv_timeout(DEADLINE).expect("the held request arrives")
    }

    /// Answers the request with `reply`.
    pub(crate) fn release(self, reply: Reply) {
        self.release.send(reply).expect("the provider still holds the request");
    }
}
