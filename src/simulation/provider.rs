//! A provider that loses, delays, repeats and lies.

use std::fmt;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::scenario::Fault;
use super::world::World;
use crate::backends::{Accepted, Network, Sms, SmsError, SmsErrorKind};
use crate::model::{DeliveryOutcome, DeliveryState, PhoneNumber};

/// How long a request may take, as with the default settings.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// A provider, as one process reaches it.
pub(super) struct Provider {
    pub(super) world: World,
    pub(super) name: &'static str,
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// What a provider does with a request. Only a lie makes the answer differ from what it did.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Accept,
    AcceptAndFail,
    AcceptAndRefuse,
    PretendToAccept,
    Reject,
    Throttle,
    Disconnect,
}

const DEEDS: [Deed; 20] = {
    use Deed::*;
    [
        Accept,
        Accept,
        Accept,
        Accept,
        Accept,
        Accept,
        Accept,
        Accept,
        Accept,
        Accept,
        Accept,
        Reject,
        Reject,
        Throttle,
        Throttle,
        Disconnect,
        AcceptAndFail,
        AcceptAndFail,
        AcceptAndRefuse,
        PretendToAccept,
    ]
};

fn error(kind: SmsErrorKind, message: &str, may_retry: bool) -> SmsError {
    SmsError::simulated(kind, message, may_retry)
}

impl Provider {
    /// Returns how long something takes on its way: sometimes longer than anyone waits.
    fn delay(world: &World) -> Duration {
        world.up_to(match world.below(10) {
            0 => Duration::from_secs(40),
            1 | 2 => Duration::from_secs(3),
            _ => Duration::from_millis(150),
        })
    }

    /// Returns the answer to a request that has arrived.
    fn judge(
        world: &World,
        name: &str,
        number: &PhoneNumber,
        code: &str,
    ) -> Result<Accepted, SmsError> {
        let deed = world.one_of(&DEEDS);
        world.log(format_args!("{name}: {deed:?} {code} for {number}"));
        let accepts = matches!(deed, Deed::Accept | Deed::AcceptAndFail | Deed::AcceptAndRefuse);
        if accepts {
            let is_lie = matches!(deed, Deed::AcceptAndRefuse);
            let records = world.database.tables().records.clone();
            world.watch(|invariants| invariants.accepted(number, code, is_lie, &records));
        }
        match deed {
            // Some messages have no id, and some have that of another one.
            Deed::Accept | Deed::PretendToAccept => {
                let id = world.below(100);
                let message_id = (id >= 10).then(|| format!("SM{id}"));
                Ok(Accepted { message_id, ..Accepted::default() })
            }
            Deed::AcceptAndFail => Err(error(SmsErrorKind::Unknown, "an error of its own", false)),
            Deed::Reject | Deed::AcceptAndRefuse => {
                let mut refusal = error(SmsErrorKind::Rejected, "refused", false);
                refusal.is_providers_own = world.chance(50);
                Err(refusal)
            }
            Deed::Throttle => Err(error(SmsErrorKind::Unavailable, "too many requests", true)),
            Deed::Disconnect => Err(error(SmsErrorKind::Unavailable, "not reached", true)),
        }
    }

    fn no_answer(world: &World) -> SmsError {
        if world.has(Fault::TimeoutAsRefusal) {
            return error(SmsErrorKind::Unavailable, "no answer", false);
        }
        error(SmsErrorKind::Unknown, "no answer", world.has(Fault::RetryAfterTimeout))
    }
}

impl Network for Provider {
    fn send(&self, sms: &Sms<'_>) -> LocalBoxFuture<'static, Result<Accepted, SmsError>> {
        let (world, name) = (self.world.clone(), self.name);
        let (number, code) = (sms.phone_number.clone(), sms.security_code.reveal().to_owned());
        Box::pin(async move {
            world.log(format_args!("{name}: {code} leaves for {number}"));
            let records = world.database.tables().records.clone();
            world.watch(|invariants| invariants.left(&number, &code, &records));
            let (sender, answer) = oneshot::channel();
            let there = world.clone();
            // Once it has left, it arrives even if the process dies.
            tokio::task::spawn_local(async move {
                if there.chance(7) {
                    return there.log(format_args!("{name}: {code} is lost"));
                }
                sleep(Self::delay(&there)).await;
                let judged = Self::judge(&there, name, &number, &code);
                if there.chance(7) {
                    return there.log(format_args!("{name}: the answer to {code} is lost"));
                }
                sleep(Self::delay(&there)).await;
                // Nobody may be waiting any more.
                let _ = sender.send(judged);
            });
            let answered = timeout(TIMEOUT, async {
                match answer.await {
                    Ok(answer) => answer,
                    Err(_) => std::future::pending().await,
                }
            });
            answered.await.unwrap_or_else(|_| Err(Self::no_answer(&world)))
        })
    }

    fn ask(&self, message_id: &str) -> LocalBoxFuture<'static, Result<DeliveryOutcome, SmsError>> {
        let (world, name, id) = (self.world.clone(), self.name, message_id.to_owned());
        Box::pin(async move {
            sleep(Self::delay(&world).min(TIMEOUT)).await;
            use DeliveryState::{Accepted, Delivered, Undelivered};
            let state = world.one_of(&[Accepted, Accepted, Delivered, Delivered, Undelivered]);
            if world.chance(20) {
                world.log(format_args!("{name}: no answer about {id}"));
                return Err(error(SmsErrorKind::Unavailable, "not reached", world.chance(50)));
            }
            world.log(format_args!("{name}: {id} is {state}"));
            Ok(DeliveryOutcome { state, message_id: None, error_code: None, error_message: None })
        })
    }
}
