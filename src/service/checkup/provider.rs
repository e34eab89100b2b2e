//! What is weak or wrong with a provider.

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::check_program;
use crate::backends::{
    AccountState, Balance, Calling, ConnectError, Finding, Security, SenderState, SmsError,
    SmsErrorKind,
};
use crate::model::{Check, span};
use crate::service::providers;
use crate::settings::Settings;
use crate::system::clock::Clock;

/// How often a question is asked that was not answered.
const MAX_ATTEMPTS: usize = 2;
/// An account with less than this, in whatever currency, is soon empty.
const LOW_BALANCE: f64 = 1.0;
/// How far the clocks may differ: an answer takes its time.
const TOLERANCE: TimeDelta = TimeDelta::seconds(30);

/// Returns how the providers of the settings are called in a check-up.
pub fn calling(settings: &Settings, stop: CancellationToken, clock: Clock) -> Calling {
    let mut calling = providers::calling(settings, stop, clock);
    calling.settings.max_attempts = calling.settings.max_attempts.min(MAX_ATTEMPTS);
    calling
}

/// Returns the check of a provider that can't be asked at all.
pub fn check_unconnected(area: &str, error: &ConnectError) -> Check {
    let matter = match error {
        ConnectError::Secret { .. } => "credentials",
        ConnectError::Client(_) => "tls",
    };
    Check::failure(format!("{area}.{matter}"), format!("it can't be asked: {error}"), error.hint())
}

/// Returns the checks of what was found out about a provider.
pub fn check_provider(area: &str, findings: &[Finding]) -> Vec<Check> {
    let name = |matter: &str| format!("{area}.{matter}");
    findings
        .iter()
        .map(|finding| match finding {
            Finding::Name { host, addresses } => check_name(&name("name"), host, addresses),
            Finding::Connection { host, security } => check_tls(&name("tls"), host, security),
            Finding::Credentials(account) => check_credentials(&name("credentials"), account),
            Finding::Sender { sender, state } => check_sender(&name("sender"), sender, state),
            Finding::Balance(balance) => check_balance(&name("balance"), balance),
            Finding::Program(program) => check_program(&name("command"), program),
            Finding::Clock { ahead_by } => check_clock(&name("clock"), *ahead_by),
        })
        .collect()
}

fn check_name(check: &str, host: &str, addresses: &Result<usize, String>) -> Check {
    match addresses {
        Ok(0) => Check::ok(check, format!("the proxy knows {host}")),
        Ok(_) => Check::ok(check, format!("{host} resolves")),
        Err(problem) => Check::failure(
            check,
            format!("{host} does not resolve: {problem}"),
            "check this machine's name server and network, or HTTPS_PROXY where there is a proxy",
        ),
    }
}

fn check_tls(check: &str, host: &str, security: &Result<Security, String>) -> Check {
    match security {
        Ok(Security::Tls) => Check::ok(check, format!("the certificate of {host} is trusted")),
        Ok(Security::Loopback) => Check::ok(check, format!("{host} is this machine: no TLS")),
        Err(problem) => Check::failure(
            check,
            format!("{host}: {problem}"),
            "check the network, the firewall and the proxy, this machine's clock and its certificates (package ca-certificates)",
        ),
    }
}

/// Returns the error in the provider's code and words.
fn told(error: &SmsError) -> String {
    match &error.code {
        Some(code) if !error.message.contains(&format!("HTTP {code}")) => {
            format!("{error} ({code})")
        }
        _ => error.to_string(),
    }
}

fn check_credentials(check: &str, account: &Result<AccountState, SmsError>) -> Check {
    match account {
        Ok(AccountState::Active) => Check::ok(check, "the provider accepts them"),
        Ok(AccountState::Trial) => Check::warning(
            check,
            "a trial account: it sends to numbers alone that its owner has verified",
            "upgrade the account with the provider",
        ),
        Ok(AccountState::Closed(state)) => Check::failure(
            check,
            format!("the account can't send: it is {state}"),
            "ask the provider why; an account without balance is suspended",
        ),
        Err(error) if error.is_redirect() => Check::failure(
            check,
            told(error),
            "check base_url in [options]: what answers there is not the provider's API",
        ),
        Err(error) if error.kind == SmsErrorKind::Rejected => Check::failure(
            check,
            format!("the provider refuses them: {}", told(error)),
            "compare the account and the secret in [options] with the provider's console",
        ),
        Err(error) => {
            Check::failure(check, told(error), "try again, and look at the provider's status page")
        }
    }
}

fn check_sender(check: &str, sender: &str, state: &Result<SenderState, SmsError>) -> Check {
    const OWN_NUMBER: &str = "name a number of the account that can send SMS";
    match state {
        Ok(SenderState::CanSend) => Check::ok(check, format!("{sender} can send SMS")),
        Ok(SenderState::NotTold) => Check::ok(
            check,
            format!("{sender} is not checked: the provider tells only when it sends"),
        ),
        Ok(SenderState::NoSms) => {
            Check::failure(check, format!("{sender} can't send SMS"), OWN_NUMBER)
        }
        Ok(SenderState::NotFound) => {
            Check::failure(check, format!("{sender} is no number of the account"), OWN_NUMBER)
        }
        Err(error) => {
            let message = format!("the provider does not tell of {sender}: {}", told(error));
            Check::warning(check, message, "look at the provider's console")
        }
    }
}

fn check_balance(check: &str, balance: &Result<Balance, SmsError>) -> Check {
    const CONSOLE: &str = "look at the provider's console; a subaccount has no balance of its own";
    let Balance { amount, currency } = match balance {
        Ok(balance) => balance,
        Err(error) => {
            let message = format!("the provider does not tell: {}", told(error));
            return Check::warning(check, message, CONSOLE);
        }
    };
    let message = format!("{amount} {currency}");
    match amount.parse::<f64>() {
        Ok(amount) if amount < LOW_BALANCE => Check::warning(
            check,
            format!("{message}: it is soon empty"),
            "top the account up, unless it is paid by invoice",
        ),
        Ok(amount) if amount.is_finite() => Check::ok(check, message),
        _ => Check::warning(check, format!("the balance is no number: {message}"), CONSOLE),
    }
}

fn check_clock(check: &str, ahead_by: Option<TimeDelta>) -> Check {
    let Some(ahead_by) = ahead_by else {
        return Check::ok(check, "it is not compared: no answer of the provider told the time");
    };
    if ahead_by.abs() <= TOLERANCE {
        return Check::ok(check, "this machine's clock agrees with the provider's");
    }
    let side = if ahead_by > TimeDelta::zero() { "ahead of" } else { "behind" };
    Check::warning(
        check,
        format!("this machine's clock is {} {side} the provider's", span(ahead_by)),
        "set the clock: timedatectl set-ntp true",
    )
}
