//! Databases that can't hold every character: an SMS may have them all the same, and its outcome is stored.

use crate::support::postgres::{Kind, query};
use crate::support::{FakeProvider, NUMBER, OTHER_NUMBER, Reply, code_in, run_command};

#[test]
fn words_that_a_database_can_not_hold_keep_nothing_from_being_stored() {
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let Some(database) = Kind::Plain.database() else { return };
        let name = format!("{}_{}", database.name(), encoding.to_lowercase());
        let options = "LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
        database.query(&format!("CREATE DATABASE {name} ENCODING '{encoding}' {options}"));
        let url = &database.url().replace(database.name(), &name);
        let provider = FakeProvider::twilio();
        let message = "message = \"Ваш код {security_code} ✓\"";
        let environment = provider.environment_with(message, "");
        let run = |arguments: &[&str]| run_command(environment.on(url, arguments));
        run(&["migrate"]).expect_code(0);

        run(&["send", NUMBER]).expect_code(0);
        let accepted = &provider.accepted()[0];
        assert!(accepted.text.starts_with("Ваш код "), "{accepted:?}");
        run(&["verify", NUMBER, code_in(&accepted.text), "--any-session"]).expect_code(0);

        // More characters than the column has, each of several bytes.
        let words = "Этот номер ✗ ".repeat(100);
        provider.next(Reply::twilio_error(400, 21211, &words));
        let refused = run(&["--format", "json", "send", OTHER_NUMBER]).expect_code(1).json();
        assert_eq!(refused["error"]["kind"], "rejected", "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().starts_with("Этот номер ✗"));
        assert!(refused.get("stored").is_none(), "{encoding}: {refused}");
        let stored = run(&["--format", "json", "deliveries", "--failed"]).expect_code(0).json();
        assert_eq!(stored["state"], "rejected", "{encoding}: {stored}");
        assert!(stored["error_message"].as_str().unwrap().starts_with("???? ????? ? "), "{stored}");

        if encoding == "SQL_ASCII" {
            query(url, "UPDATE sms_verification SET security_code = E'\\xff'");
            let run = run(&["list"]).expect_code(1);
            assert!(
                run.stderr.contains(": a text can't be read, because it isn't UTF-8"),
                "{run:#?}"
            );
        }
        database.query(&format!("DROP DATABASE {name} WITH (FORCE)"));
    }
}
