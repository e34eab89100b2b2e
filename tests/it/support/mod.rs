//! What the tests share: the program in an environment of its own, providers for it to call, and what both leave behind.

mod checks;
mod command;
mod crowd;
mod database;
mod deliveries;
mod django;
mod docs;
mod environment;
mod fake_provider;
mod hooks;
mod http_api;
pub(crate) mod postgres;
pub(crate) mod postgres_proxy;
mod postgres_rows;
mod processes;
mod records;
mod server;
mod settings;
mod stops;
mod stored;

pub(crate) use checks::Checks;
pub(crate) use crowd::{
    FILE, FIRST, INVALID, Results, SECOND, SEND_FILE, THIRD, accept_all, numbers, send_file_with,
    sorted, wait_for_arrivals,
};
pub(crate) use database::DATABASE;
pub(crate) use deliveries::{Delivery, PastDelivery, REFRESH, STATES, format_rfc3339};
pub(crate) use django::{
    OLDER_TABLES, TABLE, TABLE_0001, TABLE_0002, UNIQUE_INDEX, UNIQUE_INDEX_0001,
};
pub(crate) use docs::{read_block, read_from_repository};
pub(crate) use environment::{DEADLINE, Environment, NUMBER, Run, SANDBOX_CODE};
pub(crate) use fake_provider::{
    API_SECRET, Accepted, Api, FakeProvider, HeldRequest, INFOBIP, MESSAGEBIRD, NexmoAccount,
    PLIVO, Reception, Reply, Request, TELNYX, TEXTBELT, TRUSTED_CERTIFICATE, TRUSTED_KEY,
    TwilioAccount, page_of_numbers,
};
pub(crate) use hooks::{KEEP, expect_valid, hook};
pub(crate) use http_api::HTTP_OPTIONS;
pub(crate) use processes::{
    DEFAULT_SIGNALS, MAX_MEMORY, finish, has_open, is_root, peak_memory, run_command, run_together,
    send_signal, signal_until_it_ends, wait_until,
};
pub(crate) use records::{
    CODE, DAY, NEVER_MODIFIED, OTHER_NUMBER, Record, State, TOKEN, Time, VERIFY, WRONG_CODE,
    add_dashes, now,
};
pub(crate) use server::{is_on_server, server_for_test};
pub(crate) use settings::{
    TWO_ATTEMPTS, TWO_SHORT_ATTEMPTS, expect_accepted, expect_refused, expect_settings_error,
};
pub(crate) use stops::{
    FOUR_IN_FLIGHT, expect_settled, expect_the_rest_on_resume, set_up_four_in_flight,
};
pub(crate) use stored::{StoredRecord, code_in, error_of, is_signed_with, refusal_of};
