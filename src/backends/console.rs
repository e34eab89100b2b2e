//! No provider at all: the operator sees what the phone would have shown. The sandboxes of the providers are made of it.

use std::sync::Arc;

use serde::Deserialize;

use super::http::BaseUrl;
use super::provider::{Attempt, Connection, Kind, Provider};
use super::sms::{Accepted, Sms};
use crate::model::SecurityCode;

pub(super) const KINDS: &[Kind] = &[Kind {
    names: &["console"],
    summary: "no provider; shows each SMS instead of sending it",
    questions: &[],
    codes: None,
    read: |options| {
        let Keys { base_url: _ } = options.read();
        Some(Arc::new(Console { sandbox_token: None, max_message_length: None }))
    },
}];

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Keys {
    base_url: Option<BaseUrl>,
}

/// Shows what it would send.
#[derive(Debug)]
pub(super) struct Console {
    pub(super) sandbox_token: Option<SecurityCode>,
    pub(super) max_message_length: Option<usize>,
}

impl Provider for Console {
    fn send<'a>(&'a self, _connection: &'a Connection, sms: &'a Sms<'_>) -> Attempt<'a, Accepted> {
        Box::pin(async { Ok(Accepted { message_id: None, shown_text: Some(sms.text.to_owned()) }) })
    }

    fn is_live(&self) -> bool {
        false
    }

    fn sandbox_token(&self) -> Option<&SecurityCode> {
        self.sandbox_token.as_ref()
    }

    fn max_message_length(&self) -> Option<usize> {
        self.max_message_length
    }
}
