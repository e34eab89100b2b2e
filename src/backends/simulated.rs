//! A provider whose answers the simulator decides.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::backend::Backend;
use super::calling::Calling;
use super::provider::{Attempt, Connection, Provider};
use super::sms::{Accepted, Sms, SmsError, SmsErrorKind};
use crate::model::DeliveryOutcome;

/// The way to a provider and back.
pub trait Network: Debug + Send + Sync {
    /// Carries a request to send an SMS, and returns the answer.
    fn send(&self, sms: &Sms<'_>) -> LocalBoxFuture<'static, Result<Accepted, SmsError>>;

    /// Carries a question about a message, and returns the answer.
    fn ask(&self, message_id: &str) -> LocalBoxFuture<'static, Result<DeliveryOutcome, SmsError>>;
}

#[derive(Debug)]
struct Simulated(Arc<dyn Network>);

impl Provider for Simulated {
    fn send<'a>(&'a self, _connection: &'a Connection, sms: &'a Sms<'_>) -> Attempt<'a, Accepted> {
        self.0.send(sms)
    }

    fn delivery_status<'a>(
        &'a self,
        _connection: &'a Connection,
        message_id: &'a str,
    ) -> Option<Attempt<'a, DeliveryOutcome>> {
        Some(self.0.ask(message_id))
    }
}

impl Backend {
    /// Returns a backend called `name` at the end of `network`.
    pub fn simulated(name: &str, network: Arc<dyn Network>, calling: &Arc<Calling>) -> Self {
        Self::without_client(name, Arc::new(Simulated(network)), calling)
    }
}

impl SmsError {
    /// Returns an error of a simulated provider.
    pub fn simulated(kind: SmsErrorKind, message: &str, may_retry: bool) -> Self {
        Self { may_retry, ..Self::new(kind, None, message) }
    }
}
