//! What differs from seed to seed before anything happens, and what doesn't.

use std::sync::{Arc, LazyLock};

use chrono::TimeDelta;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::model::{MessageText, NumberType, PhoneNumber, parse_region};
use crate::service::recipient::Route;
use crate::settings::{Limits, Settings};

/// A fault that is planted beneath the rules, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A send is settled as accepted before its SMS leaves.
    SettleBeforeSend,
    /// A request without an answer is made again.
    RetryAfterTimeout,
    /// A request without an answer counts as refused.
    TimeoutAsRefusal,
    /// The limits are checked against what was there when the process started.
    LimitsOutsideLock,
    /// So are codes.
    VerifyOutsideLock,
    /// A transaction is said to be durable before it is.
    ReplyBeforeSync,
    /// `--resume` sends again to numbers whose outcome is unknown.
    ResendUnknown,
}

/// What the settings of one seed say.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) lifetime: TimeDelta,
    pub(super) cooldown: Option<TimeDelta>,
    pub(super) max_per_day: Option<u32>,
    pub(super) max_per_hour: Option<u32>,
    pub(super) max_wrong_codes: u32,
    pub(super) max_failed_attempts: u32,
    pub(super) only_once: bool,
    pub(super) has_fallback: bool,
}

impl Scenario {
    pub(super) fn random(dice: &mut StdRng) -> Self {
        let mut half = || dice.random::<bool>();
        let [has_cooldown, has_daily, has_hourly, only_once, has_fallback] =
            std::array::from_fn(|_| half());
        Self {
            lifetime: CONSTANTS.settings.code_lifetime,
            cooldown: has_cooldown.then(|| TimeDelta::seconds(dice.random_range(1..900))),
            max_per_day: has_daily.then(|| dice.random_range(1..5)),
            max_per_hour: has_hourly.then(|| dice.random_range(1..8)),
            max_wrong_codes: dice.random_range(1..6),
            max_failed_attempts: dice.random_range(1..6),
            only_once,
            has_fallback,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            resend_cooldown: self.cooldown,
            max_per_number_per_day: self.max_per_day,
            max_per_hour: self.max_per_hour,
            max_wrong_codes_per_number_per_day: Some(self.max_wrong_codes),
            ..Limits::none()
        }
    }
}

/// What is the same for all seeds.
pub(super) struct Constants {
    pub(super) settings: Settings,
    pub(super) numbers: Vec<PhoneNumber>,
    pub(super) route: Route,
    pub(super) text: Arc<MessageText>,
}

pub(super) static CONSTANTS: LazyLock<Constants> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("phone-verify.toml");
    // Long codes never come twice.
    std::fs::write(&file, "backend = \"console\"\ntoken_length = 12").unwrap();
    let settings = Settings::load(Some(&file)).unwrap();
    let text = settings.composer().compose(settings.messages.in_language(None), |_| None);
    let number = |last| PhoneNumber::from_stored(format!("+1202555010{last}"));
    Constants {
        text: Arc::new(text.unwrap()),
        settings,
        numbers: (0..3).map(number).collect(),
        route: Route::Sms { region: parse_region("US").unwrap(), number_type: NumberType::Mobile },
    }
});
