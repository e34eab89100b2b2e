//! Unexpected rows, words and periods, most of them on a server.

use chrono::TimeDelta;

use super::proxied::Proxied;
use super::rules::{RIGHT, WRONG, judge};
use super::{DeliveryOutcome, Sends, engines, number, outcome, started, take};
use crate::model::VerificationStatus::SecurityCodeInvalid;
use crate::model::{DeliveryState, ListedRecord, Period};
use crate::store::{
    Admission, DeliveryFilter, Judge, RecordFilter, Refusal, Rows, SendHistory, SendReply,
    SendStep, SessionChoice, Window, WrongCodeFilter,
};
use crate::system::clock::Clock;

#[test]
fn an_outcome_is_stored_whatever_the_provider_says() {
    Proxied::each(|proxied| {
        let store = &mut *proxied.open_behind();
        for text in ["\0", "a\0b", &"\u{1f600}".repeat(2500), &"x".repeat(10_000), "\u{feff}'\\;--"]
        {
            let send = started(take(store, SendStep::Start(Sends::new(1).new_send(&number(1)))));
            let id = send.delivery_id;
            let text = Some(text.to_owned());
            let outcome = DeliveryOutcome {
                state: DeliveryState::Unknown,
                message_id: text.clone(),
                error_code: text.clone(),
                error_message: text,
            };
            take(store, SendStep::Settle { send, outcome, tries: u32::MAX });
            let state = proxied.value(&format!("SELECT state FROM sms_delivery WHERE id = {id}"));
            assert_eq!(state, "unknown", "{:?}", proxied.kind);
            let [Ok(_)] = &store.newest_deliveries(&DeliveryFilter::default(), 1).unwrap()[..]
            else {
                panic!("{:?}", proxied.kind)
            };
            proxied.truncate();
        }
    });
}

#[test]
fn a_record_that_a_trigger_keeps_away_starts_no_send_and_leaves_no_delivery() {
    Proxied::each(|proxied| {
        let store = &mut *proxied.open_behind();
        for (action, words) in [
            ("RETURN NULL", "because a trigger prevents it"),
            ("RAISE EXCEPTION 'code %', new.security_code", "a trigger refused the change (P0001)"),
            (
                "RAISE EXCEPTION 'code %', new.security_code USING ERRCODE = 'check_violation'",
                "a trigger refused the change (23514)",
            ),
            (
                "RAISE EXCEPTION 'code %', new.security_code USING ERRCODE = '45000'",
                "a trigger refused the change (45000)",
            ),
            ("ASSERT FALSE, new.security_code", "a trigger refused the change (P0004)"),
        ] {
            proxied.database.query(&format!(
                "CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {action}; END$$;
                 CREATE TRIGGER kept BEFORE INSERT ON sms_verification FOR EACH ROW
                     WHEN (new.phone_number = '{}') EXECUTE FUNCTION kept()",
                number(1).as_str()
            ));
            let mut sends = Sends::new(1);
            // The second one to a number isn't stored together with the first one.
            let steps = [0, 1, 2, 0].map(|last| SendStep::Start(sends.new_send(&number(last))));
            let replies = store.take_send_steps(&steps, &Admission::default());
            let started = |index: usize| matches!(replies[index], Ok(SendReply::Started(_)));
            let (Err(error), true) = (&replies[1], [0, 2, 3].into_iter().all(started)) else {
                panic!("{:?}: {replies:?}", proxied.kind)
            };
            let code = steps[1].start().unwrap().security_code.reveal();
            let error = error.to_string();
            assert!(error.contains(words) && !error.contains(code), "{error}");
            for table in ["sms_verification", "sms_delivery"] {
                let count = proxied.value(&format!("SELECT count(*) FROM {table}"));
                assert_eq!(count, "3", "{:?}, {table}", proxied.kind);
            }
            proxied.database.query("DROP FUNCTION kept CASCADE");
            proxied.truncate();
        }
    });
}

#[test]
fn rows_that_a_trigger_keeps_do_not_count_as_deleted() {
    Proxied::each(|proxied| {
        let store = &mut *proxied.open_behind();
        take(store, SendStep::Start(Sends::new(1).new_send(&number(1))));
        proxied.database.query(
            "CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
             CREATE TRIGGER kept BEFORE DELETE ON sms_verification
                 FOR EACH ROW EXECUTE FUNCTION kept()",
        );
        let records = Rows::Records(RecordFilter::default());
        assert_eq!(store.delete(&records).unwrap(), 0, "{:?}", proxied.kind);
        assert_eq!(store.count(&records).unwrap(), 1, "{:?}", proxied.kind);
    });
}

#[test]
fn times_that_no_calendar_has_spoil_their_own_rows_only() {
    Proxied::each(|proxied| {
        let store = &mut *proxied.open_behind();
        let send = Sends::new(1).new_send(&number(1));
        let mine = started(take(store, SendStep::Start(send.clone())));
        proxied.database.query(&format!(
            "INSERT INTO sms_verification
             SELECT gen_random_uuid(), time::timestamptz, time::timestamptz, i, '{}', time, FALSE, 0
             FROM unnest(ARRAY['infinity', '-infinity', '294276-01-01', '4000-01-01 BC', '20000-01-01'])
                 AS time, generate_series(1, 500) AS i;
             INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments, tries,
                 created_at, updated_at)
             SELECT id, phone_number, 'first', 'accepted', 1, 1, created_at, created_at
                 FROM sms_verification WHERE created_at <> '{}';
             INSERT INTO sms_wrong_code (phone_number, created_at)
                 SELECT phone_number, created_at FROM sms_delivery",
            number(1).as_str(),
            mine.created_at.to_rfc3339()
        ));
        let (mut readable, mut rows) = (0, 0);
        let mut visit = |page: Vec<Result<ListedRecord, _>>| {
            rows += page.len();
            readable += page.into_iter().flatten().count();
            true
        };
        store.list(&RecordFilter::default(), u64::MAX, &mut visit).unwrap();
        assert_eq!(rows, 2501, "{:?}", proxied.kind);
        assert_eq!(readable, 1, "{:?}", proxied.kind);
        let damaged = store.damaged_times().unwrap();
        let mut named: Vec<_> = damaged.iter().map(ToString::to_string).collect();
        named.sort_unstable();
        let infinite = proxied.database.query(
            "SELECT 'table sms_verification, row ' || id || ', column created_at: '
             FROM sms_verification WHERE NOT isfinite(created_at) ORDER BY id",
        );
        assert_eq!((named.len(), infinite.len()), (1000, 1000), "{:?}", proxied.kind);
        for (named, row) in named.iter().zip(infinite) {
            assert!(named.starts_with(&row[0].clone().unwrap()), "{:?}: {named}", proxied.kind);
        }
        for session in [SessionChoice::Newest, SessionChoice::Token(send.session_token.clone())] {
            let judge = judge(&RIGHT);
            let attempt = store.verify(&number(1), &session, &judge).unwrap();
            assert_eq!(attempt.record.unwrap().id, send.verification_id, "{:?}", proxied.kind);
        }
        take(
            store,
            SendStep::Settle { send: mine, outcome: outcome(DeliveryState::Accepted), tries: 1 },
        );
        let now = store.clock().unwrap().now();
        let created_outside = Some(Period::last(TimeDelta::days(1), now));
        for rows in [
            Rows::Records(RecordFilter { created_outside, ..RecordFilter::default() }),
            Rows::Deliveries(DeliveryFilter { created_outside, ..DeliveryFilter::default() }),
            Rows::WrongCodes(WrongCodeFilter { created_outside, ..WrongCodeFilter::default() }),
        ] {
            let count = store.count(&rows).unwrap();
            assert_eq!(store.delete(&rows).unwrap(), count, "{:?}: {rows:?}", proxied.kind);
            assert_eq!(store.count(&rows).unwrap(), 0, "{:?}: {rows:?}", proxied.kind);
        }
    });
}

#[test]
fn a_number_that_is_erased_meanwhile_stays_erased() {
    Proxied::each(|proxied| {
        let store = &mut *proxied.open_behind();
        for state in [DeliveryState::Accepted, DeliveryState::Rejected, DeliveryState::Unknown] {
            let send = started(take(store, SendStep::Start(Sends::new(1).new_send(&number(1)))));
            proxied.truncate();
            let settle = SendStep::Settle { send: send.clone(), outcome: outcome(state), tries: 1 };
            let reply = take(store, settle);
            assert_eq!(reply == SendReply::Done, state == DeliveryState::Rejected, "{reply:?}");
            let outcome = outcome(DeliveryState::Unavailable);
            let step = SendStep::HandOver { send, outcome, tries: 1, backend: "second".into() };
            assert!(matches!(take(store, step), SendReply::Lapsed(_)));
            for table in ["sms_verification", "sms_delivery"] {
                assert_eq!(proxied.value(&format!("SELECT count(*) FROM {table}")), "0");
            }
        }
    });
}

#[test]
fn a_row_that_the_server_refuses_is_explained_without_what_it_holds() {
    Proxied::each(|proxied| {
        let store = &mut *proxied.open_behind();
        for (change, undo, words, hint) in [
            (
                "CREATE FUNCTION strict() RETURNS trigger LANGUAGE plpgsql
                     AS $$BEGIN PERFORM new.security_code::boolean; RETURN new; END$$;
                 CREATE TRIGGER strict BEFORE INSERT ON sms_verification FOR EACH ROW
                     EXECUTE FUNCTION strict()",
                "DROP FUNCTION strict CASCADE",
                ": a trigger refused the change (22P02)",
                Some("the triggers of a table"),
            ),
            (
                "ALTER TABLE sms_verification ALTER COLUMN security_code TYPE varchar(2)",
                "ALTER TABLE sms_verification ALTER COLUMN security_code TYPE varchar(120)",
                ": value too long for type character varying(2)",
                Some("which column is shorter"),
            ),
            (
                "ALTER TABLE sms_verification ADD COLUMN place text NOT NULL DEFAULT nullif('', '')",
                "ALTER TABLE sms_verification DROP COLUMN place",
                ": null value in column \"place\" of relation \"sms_verification\" violates not-null constraint",
                Some("another program added the column"),
            ),
            (
                "ALTER TABLE sms_verification ADD CONSTRAINT closed CHECK (phone_number IS NULL)",
                "ALTER TABLE sms_verification DROP CONSTRAINT closed",
                ": new row for relation \"sms_verification\" violates check constraint \"closed\" (23514)",
                None,
            ),
        ] {
            proxied.database.query(change);
            let step = SendStep::Start(Sends::new(1).new_send(&number(1)));
            let code = step.start().unwrap().security_code.reveal().to_owned();
            let error =
                store.take_send_steps(&[step], &Admission::default()).remove(0).unwrap_err();
            assert!(error.to_string().ends_with(words), "{:?}: {error}", proxied.kind);
            let is_hint = |given: &str| hint.is_some_and(|hint| given.contains(hint));
            assert!(error.hint.as_deref().map_or(hint.is_none(), is_hint), "{error:?}");
            assert!(!format!("{error:?}").contains(&code), "{error:?}");
            proxied.database.query(undo);
        }
    });
}

#[test]
fn a_code_whose_judgement_a_trigger_takes_back_is_not_answered() {
    Proxied::each(|proxied| {
        let store = &mut *proxied.open_behind();
        let send = Sends::new(1).new_send(&number(1));
        started(take(store, SendStep::Start(send.clone())));
        proxied.database.query(
            "CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
             CREATE TRIGGER kept BEFORE UPDATE ON sms_verification FOR EACH ROW
                 EXECUTE FUNCTION kept()",
        );
        for rule in [RIGHT, WRONG] {
            let session = SessionChoice::Token(send.session_token.clone());
            let answer = store.verify(&number(1), &session, &judge(&rule));
            let error = answer.unwrap_err().to_string();
            let words = ": a row was not changed, because a trigger prevents it";
            assert!(error.ends_with(words), "{:?}: {error}", proxied.kind);
        }
        let state = "SELECT is_verified || ' ' || failed_attempts || ' '
                 || (SELECT count(*) FROM sms_wrong_code) FROM sms_verification";
        assert_eq!(proxied.value(state), "false 0 0", "{:?}", proxied.kind);
    });
}

#[test]
fn a_rule_may_look_back_further_than_any_calendar() {
    for engine in engines() {
        let open = engine();
        let store = &mut *open(&Clock::system());
        let (length, mut sends) = (TimeDelta::MAX, Sends::new(1));
        let judge_send = |history: &SendHistory<'_>, _| {
            let limited = |_| Refusal::Limited { reason: String::new(), retry_at: None };
            let is_known = !history.to_number.is_empty();
            is_known.then_some(Refusal::AlreadySent).or_else(|| history.full_since.map(limited))
        };
        let admission = Admission {
            looks_back: Some(length),
            window: Some(Window { most: 1, length }),
            judge: Some(Box::new(judge_send)),
            ..Admission::default()
        };
        let first = sends.new_send(&number(1));
        take(store, SendStep::Start(first.clone()));
        let starts = [1, 2].map(|last| SendStep::Start(sends.new_send(&number(last))));
        let replies = store.take_send_steps(&starts, &admission);
        let limited = Refusal::Limited { reason: String::new(), retry_at: None };
        let replies: Vec<_> = replies.into_iter().map(Result::unwrap).collect();
        assert_eq!(replies, [Refusal::AlreadySent, limited].map(SendReply::Refused));

        let session = SessionChoice::Token(first.session_token);
        let judge = Judge { looks_back: Some(length), decide: &WRONG };
        let attempt = store.verify(&number(1), &session, &judge).unwrap();
        assert_eq!(attempt.decision.status, SecurityCodeInvalid);
        let period = Period::last(length, store.clock().unwrap().now());
        assert_eq!(store.wrong_codes(&number(1), period).unwrap(), 1);
        let filter = RecordFilter { created_outside: Some(period), ..RecordFilter::default() };
        assert_eq!(store.count(&Rows::Records(filter)).unwrap(), 0);
    }
}
