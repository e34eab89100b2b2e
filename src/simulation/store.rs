//! The database of a process that may crash between any two steps, so that only what was committed is left.

use std::panic::resume_unwind;

use uuid::Uuid;

use super::scenario::Fault;
use super::world::World;
use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, Period, PhoneNumber, SmsVerification,
};
use crate::service::admission::Resume;
use crate::store::{
    Admission, Attempt, Copies, DamagedRow, DeliveryFilter, Evidence, GroupHistory, Judge,
    LedgerIds, Memory, RecordFilter, Rows, SendReply, SendStep, SessionChoice, Store, StoreError,
    Tables, Visit, WrongCode,
};
use crate::system::clock::Clock;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// How a process ends that crashes. It unwinds, so nothing of it runs any more.
pub(super) struct Crash;

/// The connection of one process.
pub(super) struct Connection {
    world: World,
    database: Memory,
    /// After how many transactions the process crashes.
    until_crash: Option<usize>,
    /// What the run's `--resume` says.
    resume: Option<Resume>,
    /// The tables when the process opened them.
    opened: Tables,
    /// The tables before its last transaction.
    before_last: Option<Tables>,
}

impl Connection {
    /// Returns a connection of a new process, which may crash.
    pub(super) fn open(world: &World, resume: Option<Resume>) -> Self {
        let opened = world.database.tables().clone();
        let until_crash = world.chance(30).then(|| world.below(12));
        let database = world.database.clone();
        Self { world: world.clone(), database, until_crash, resume, opened, before_last: None }
    }

    /// Ends the process. What it committed stays, unless the disk lied.
    fn crash(&mut self) -> ! {
        self.world.log(format_args!("the process crashes"));
        if let (true, Some(tables)) =
            (self.world.has(Fault::ReplyBeforeSync), self.before_last.take())
        {
            *self.database.tables() = tables;
        }
        resume_unwind(Box::new(Crash))
    }

    fn may_crash(&mut self) {
        let crashes = self.until_crash == Some(0);
        self.until_crash = self.until_crash.map(|left| left.saturating_sub(1));
        if crashes {
            self.crash();
        }
    }

    /// Returns the database as the process first saw it.
    fn stale(&self) -> Memory {
        Memory::with(self.opened.clone(), self.world.clock.clone())
    }

    fn take(&mut self, step: &SendStep, admission: &Admission) -> Result<SendReply> {
        let steps = std::slice::from_ref(step);
        let start = matches!(step, SendStep::Start(_));
        let reply = if start && self.world.has(Fault::LimitsOutsideLock) {
            match self.stale().take_send_steps(steps, admission).remove(0)? {
                SendReply::Started(_) => {
                    self.database.take_send_steps(steps, &Admission::default()).remove(0)?
                }
                reply => reply,
            }
        } else {
            self.database.take_send_steps(steps, admission).remove(0)?
        };
        if let (SendReply::Started(send), true) = (&reply, self.world.has(Fault::SettleBeforeSend))
        {
            let outcome = DeliveryOutcome {
                state: DeliveryState::Accepted,
                message_id: None,
                error_code: None,
                error_message: None,
            };
            let settle = SendStep::Settle { send: send.clone(), outcome, tries: 1 };
            let _ = self.database.take_send_steps(&[settle], admission);
        }
        let (world, after) = (&self.world, self.database.tables().clone());
        if !matches!((step, &reply), (SendStep::Check { .. }, SendReply::Done)) {
            world.log(format_args!("{}: {}", named(step), shown(&reply)));
        }
        let now = world.clock.now();
        world.watch(|invariants| {
            invariants.stepped(step, &reply, self.resume, now)?;
            invariants.records_are_there(&after.records)
        });
        self.may_crash();
        Ok(reply)
    }
}

fn named(step: &SendStep) -> String {
    match step {
        SendStep::Start(send) => {
            format!("start {} for {}", send.security_code.reveal(), send.phone_number)
        }
        SendStep::Check { send, .. } => format!("check {}", send.delivery_id),
        SendStep::HandOver { send, outcome, .. } => {
            format!("hand over {} after {}", send.delivery_id, outcome.state)
        }
        SendStep::Settle { send, outcome, .. } => {
            format!("settle {} as {}", send.delivery_id, outcome.state)
        }
        SendStep::Update { delivery_id, outcome } => {
            format!("update {delivery_id} to {}", outcome.state)
        }
    }
}

fn shown(reply: &SendReply) -> String {
    match reply {
        SendReply::Started(send) => format!("started {}", send.delivery_id),
        reply => format!("{reply:?}"),
    }
}

impl Store for Connection {
    fn clock(&mut self) -> Result<Clock> {
        self.database.clock()
    }

    fn verify(
        &mut self,
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        judge: &Judge<'_>,
    ) -> Result<Attempt> {
        self.may_crash();
        let attempt = if self.world.has(Fault::VerifyOutsideLock) {
            let attempt = self.stale().verify(phone_number, session, judge)?;
            let decide = |_: Evidence<'_>, _| attempt.decision;
            let judge = Judge { looks_back: None, decide: &decide };
            self.database.verify(phone_number, session, &judge)?;
            attempt
        } else {
            self.database.verify(phone_number, session, judge)?
        };
        self.world.watch(|invariants| invariants.verified(phone_number, &attempt));
        self.may_crash();
        Ok(attempt)
    }

    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Vec<Result<SendReply>> {
        self.may_crash();
        let before = self.database.tables().clone();
        let take = |step| {
            // The connection is lost before or after the step, and nobody knows which.
            let is_lost = self.world.chance(1);
            if is_lost && self.world.chance(50) {
                return Err(Memory::lost());
            }
            let reply = self.take(step, admission)?;
            if is_lost { Err(Memory::lost()) } else { Ok(reply) }
        };
        let replies = steps.iter().map(take).collect();
        self.before_last = Some(before);
        replies
    }

    fn list(&mut self, filter: &RecordFilter, limit: u64, visit: &mut Visit<'_>) -> Result<()> {
        self.database.list(filter, limit, visit)
    }

    fn delete(&mut self, rows: &Rows) -> Result<u64> {
        self.may_crash();
        let before = self.database.tables().clone();
        let deleted = self.database.delete(rows)?;
        let after = self.database.tables().clone();
        let now = self.world.clock.now();
        self.world.watch(|invariants| {
            invariants.deleted(rows, &before, &after, now)?;
            invariants.records_are_there(&after.records)
        });
        self.may_crash();
        Ok(deleted)
    }

    fn deliveries(
        &mut self,
        filter: &DeliveryFilter,
        limit: u64,
        visit: &mut Visit<'_, Delivery>,
    ) -> Result<()> {
        self.database.deliveries(filter, limit, visit)
    }

    fn look_up(&mut self, _: &mut GroupHistory, _: &Admission, _: &PhoneNumber) -> Result<()> {
        unimplemented!("only dry runs look ahead")
    }

    fn count(&mut self, rows: &Rows) -> Result<u64> {
        self.database.count(rows)
    }

    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>> {
        self.database.damaged_times()
    }

    fn ledger_problem(&mut self) -> Result<Option<String>> {
        self.database.ledger_problem()
    }

    fn numbers_ending(
        &mut self,
        digits: &str,
        limit: usize,
    ) -> Result<Vec<Result<PhoneNumber, DamagedRow>>> {
        self.database.numbers_ending(digits, limit)
    }

    fn wrong_codes(&mut self, phone_number: &PhoneNumber, period: Period) -> Result<u32> {
        self.database.wrong_codes(phone_number, period)
    }

    fn list_wrong_codes(&mut self, visit: &mut Visit<'_, WrongCode>) -> Result<()> {
        self.database.list_wrong_codes(visit)
    }

    fn find_records(&mut self, ids: &[Uuid]) -> Result<Vec<SmsVerification>> {
        self.database.find_records(ids)
    }

    fn find_deliveries(&mut self, rows: &[Delivery], ids: LedgerIds) -> Result<Vec<Delivery>> {
        self.database.find_deliveries(rows, ids)
    }

    fn insert(&mut self, copies: &Copies<'_>) -> Result<u64> {
        self.database.insert(copies)
    }

    fn identity(&mut self) -> Result<String> {
        self.database.identity()
    }

    fn further_columns(&mut self) -> Result<Vec<String>> {
        self.database.further_columns()
    }

    fn remove_traces(&mut self) -> Result<Option<String>> {
        self.database.remove_traces()
    }
}
