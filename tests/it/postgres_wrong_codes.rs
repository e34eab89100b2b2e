//! Wrong codes on a PostgreSQL server, where those of other records are counted while one is verified.

use crate::support::postgres::Kind;
use crate::support::{Environment, NUMBER, WRONG_CODE};

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
