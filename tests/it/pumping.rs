//! What looks like SMS pumping, as `stats` points it out.

use crate::support::{Environment, NUMBER};

/// The arguments that print one group as JSON, and then what looks like pumping.
const JSON: [&str; 7] = ["--format", "json", "stats", "--by", "backend", "--columns", "group"];

/// Returns an environment with `count` deliveries to one prefix, of which so many are verified, and a verified one to another.
fn with_prefix(count: usize, verified: usize) -> Environment {
    let environment = Environment::with_database("");
    let now = environment.time_ago(0);
    environment.execute(&[&format!(
        "INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments, tries,
            created_at, updated_at, verified_at)
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         SELECT '3f2504e04f8941d39a0c0305e82c3301',
             CASE WHEN i = {count} THEN '{NUMBER}' ELSE '+1202555' || substr(CAST(10000 + i AS text), 2) END,
             'twilio', 'accepted', 1, 1, {}, {now}, CASE WHEN i < {verified} OR i = {count} THEN {now} END
         FROM n",
        environment.time_ago(700)
    )]);
    environment
}

#[test]
fn pumping_is_a_json_line_of_its_own_and_a_warning_for_people() {
    let environment = with_prefix(120, 1);
    let run = environment.run(&JSON).expect_code(0);
    let expected = "{\"group\":\"twilio\"}\n\
        {\"pumping\":\"+1202555\",\"sent\":120,\"verified\":1,\"conversion\":0.0083}\n";
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (expected, ""));
    let warning = "\
warning: this looks like SMS pumping: 120 sent to +1202555…, 1 verified
note: against pumping, set resend_cooldown_seconds, max_per_hour and allowed_regions in [limits], and turn on the provider's fraud protection
";
    for format in ["text", "csv"] {
        let run = environment.run(&["--format", format, "stats"]).expect_code(0);
        assert_eq!(run.stderr, warning, "{format}");
        assert!(!run.stdout.contains("1202555"), "{run:#?}");
        let run = environment.run(&["--quiet", "--format", format, "stats"]).expect_code(0);
        assert_eq!(run.stderr, "", "{format}");
    }
}

#[test]
fn no_more_than_the_thresholds_is_no_pumping() {
    for (count, verified, lines) in [(19, 0, 1), (20, 0, 2), (20, 1, 2), (20, 2, 1)] {
        let environment = with_prefix(count, verified);
        let found = environment.run(&JSON).expect_code(0).json_lines().len();
        assert_eq!(found, lines, "{verified} of {count}");
        // As long as a code lives, it may yet be verified.
        environment.write(
            "phone-verify.toml",
            "backend = \"console\"\nsecurity_code_expiration_time = 800\n",
        );
        assert_eq!(environment.run(&JSON).expect_code(0).json_lines().len(), 1);
    }
}

#[test]
fn if_nothing_is_known_to_be_verified_a_note_says_so() {
    let environment = with_prefix(120, 0);
    environment.execute(&["UPDATE sms_delivery SET verified_at = NULL"]);
    for format in ["text", "csv", "json"] {
        let run = environment.run(&["--format", format, "stats"]).expect_code(0);
        assert!(run.stderr.starts_with("note: no code is known to be verified"), "{run:#?}");
        assert!(!run.stdout.contains("pumping"), "{run:#?}");
    }
}
