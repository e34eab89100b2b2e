//! The tests of the commands once more, with the database on a server: [`crate::support::is_on_server`] finds out by their names.

#![expect(clippy::duplicate_mod, reason = "each test runs on both engines")]

#[path = "bulk.rs"]
mod bulk;
#[path = "bulk_resume.rs"]
mod bulk_resume;
#[path = "deliveries.rs"]
mod deliveries;
#[path = "erasure.rs"]
mod erasure;
#[path = "future.rs"]
mod future;
#[path = "ledger.rs"]
mod ledger;
#[path = "ledger_retention.rs"]
mod ledger_retention;
#[path = "ledger_verified.rs"]
mod ledger_verified;
#[path = "limits.rs"]
mod limits;
#[path = "list.rs"]
mod list;
#[path = "list_filters.rs"]
mod list_filters;
#[path = "list_states.rs"]
mod list_states;
#[path = "pumping.rs"]
mod pumping;
#[path = "purge.rs"]
mod purge;
#[path = "send.rs"]
mod send;
#[path = "send_lapsed.rs"]
mod send_lapsed;
#[path = "send_unknown.rs"]
mod send_unknown;
#[path = "stats.rs"]
mod stats;
#[path = "status.rs"]
mod status;
#[path = "status_refresh.rs"]
mod status_refresh;
#[path = "verify.rs"]
mod verify;
#[path = "wrong_codes.rs"]
mod wrong_codes;
