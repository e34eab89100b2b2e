//! Wrong codes on a PostgreSQL server, where those of other records are counted while one is verified.

use crate::support::postgres::Kind;
use crate::support::{CODE, Environment, NUMBER, WRONG_CODE, run_command};

/// Lets three updates in a row come too late: meanwhile there is one more wrong code of the number.
const TOO_LATE: &str = "CREATE FUNCTION come_too_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM sms_wrong_code) < 3 THEN
            INSERT INTO sms_wrong_code (phone_number, created_at) VALUES (NEW.phone_number, now());
            RETURN NULL;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER come_too_late BEFORE UPDATE ON sms_verification FOR EACH ROW EXECUTE FUNCTION come_too_late()";

#[test]
fn wrong_codes_of_other_records_are_not_taken_for_a_trigger() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let url = database.url();
        let environment = Environment::with_settings("backend = \"console\"\n");
        let run = |words: &[&str]| environment.run(&[&["--database", &url], words].concat());
        run(&["migrate"]).expect_code(0);
        run(&["send", NUMBER]).expect_code(0);
        database.query(TOO_LATE);
        run(&["verify", NUMBER, WRONG_CODE, "--any-session"]).expect_code(11);
        let counts = "SELECT count(*), max(failed_attempts) FROM sms_wrong_code, sms_verification";
        assert_eq!(database.query(counts), [["4", "1"].map(|it| Some(it.to_owned())).to_vec()]);
    }
}

#[test]
fn a_wrong_code_that_cannot_be_counted_for_its_number_counts_for_its_record() {
    // The user may not create the table that is missing, or may not take the lock.
    for (missing, rights) in [
        ("sms_wrong_code", "SELECT, UPDATE ON sms_verification, sms_delivery, phone_verify_lock"),
        ("sms_delivery", "SELECT, INSERT, UPDATE, DELETE ON sms_verification, sms_wrong_code"),
    ] {
        let Some(database) = Kind::Plain.database() else { return };
        let user = format!("{}_user", database.name());
        database.migrate();
        database.insert_record();
        database.query(&format!(
            "DROP TABLE {missing}; CREATE ROLE {user} LOGIN; GRANT {rights} TO {user}"
        ));
        let environment = Environment::with_settings("backend = \"console\"\n");
        let url = database.url().replace("user=postgres", &format!("user={user}"));
        let run =
            run_command(environment.on(&url, &["verify", NUMBER, WRONG_CODE, "--any-session"]));
        let run = run.expect_code(1);
        assert!(run.stderr.contains("permission denied"), "{missing}: {run:#?}");
        assert!(!run.stderr.contains(CODE), "{missing}: {run:#?}");
        assert_eq!(
            database.column("SELECT failed_attempts FROM sms_verification"),
            ["1"],
            "{missing}"
        );
    }
}

#[test]
fn a_code_counts_once_or_not_at_all_whatever_became_of_the_tables() {
    let trigger = |action: &str| {
        format!(
            "CREATE SEQUENCE tries; CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN {action} RETURN NEW; END $$;
             CREATE TRIGGER change BEFORE UPDATE ON sms_verification
                 FOR EACH ROW EXECUTE FUNCTION change()"
        )
    };
    let [kept, fails_once, conflicts] = [
        "RETURN NULL;",
        "IF nextval('tries') < 2 THEN RAISE EXCEPTION 'not now'; END IF;",
        "IF nextval('tries') < 4 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '40001'; END IF;",
    ]
    .map(trigger);
    let missing = "DROP TABLE sms_delivery, sms_wrong_code, phone_verify_lock";
    let foreign = "DROP TABLE sms_wrong_code; CREATE TABLE sms_wrong_code (guess text)";
    for (statements, code, exit, words, state) in [
        (missing, CODE, 0, "", "true 0"),
        ("DROP TABLE phone_verify_lock", CODE, 0, "", "true 0"),
        (missing, WRONG_CODE, 11, "", "false 1"),
        ("DROP TABLE sms_wrong_code", WRONG_CODE, 11, "", "false 1"),
        (foreign, CODE, 1, "table sms_wrong_code has columns", "false 0"),
        (foreign, WRONG_CODE, 1, "table sms_wrong_code has columns", "false 0"),
        (&kept, CODE, 1, "because a trigger prevents it", "false 0"),
        (&kept, WRONG_CODE, 1, "because a trigger prevents it", "false 0"),
        (&fails_once, CODE, 0, "", "true 0"),
        (&fails_once, WRONG_CODE, 11, "", "false 1"),
        (&conflicts, CODE, 0, "", "true 0"),
        (&conflicts, WRONG_CODE, 11, "", "false 1"),
    ] {
        let Some(database) = Kind::Plain.database() else { return };
        database.migrate();
        database.insert_record();
        database.query(statements);
        let environment = Environment::with_settings("backend = \"console\"\n");
        let verify = ["verify", NUMBER, code, "--any-session"];
        let run = run_command(environment.on(&database.url(), &verify)).expect_code(exit);
        assert!(run.stderr.contains(words), "{statements}: {run:#?}");
        let stored = "SELECT is_verified || ' ' || failed_attempts FROM sms_verification";
        assert_eq!(database.column(stored), [state], "{statements}: {run:#?}");
    }
}
