//! What a backend is called: as the settings do in words, by its own name in results and in the ledger.

use crate::support::{Environment, FakeProvider, HTTP_OPTIONS, NUMBER, REFRESH, Reply};

#[test]
fn an_http_backend_has_the_name_of_its_options_everywhere() {
    let (first, second) = (FakeProvider::without_documents(), FakeProvider::without_documents());
    let options = |double: &FakeProvider, name: &str| {
        format!("name = \"{name}\"\n{}", HTTP_OPTIONS.replace("{url}", &double.base_url()))
    };
    let tables = format!(
        "[fallback]\nbackend = \"http\"\n[fallback.options]\n{}",
        options(&second, "Text2")
    );
    let environment = first.http_environment(&options(&first, " Textbelt "), &tables);
    first.next(Reply::answer(401, ""));
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
    assert_eq!(run.json()["backend"], "Text2");
    assert_eq!(
        run.stderr,
        "note: Textbelt refused it: refused with HTTP 401; sent through Text2\n"
    );
    let names: Vec<_> = environment.deliveries().into_iter().map(|row| row.backend).collect();
    assert_eq!(names, ["Textbelt", "Text2"]);
    let status = environment.run(&["status", NUMBER, "--refresh"]).expect_code(0);
    assert!(status.stdout.contains("accepted through Text2, called once"), "{status:#?}");
    assert_eq!(status.stderr, "warning: Text2 has no call that reports whether an SMS arrived\n");
    first.next(Reply::answer(400, ""));
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    assert!(run.stderr.contains("was not sent: Textbelt refused it: "), "{run:#?}");
    let checks = environment.doctor(0, &["--offline"]);
    checks.expect("settings.backend", "ok", &["Textbelt"]);
    checks.expect("settings.fallback.backend", "ok", &["Text2"]);
}

#[test]
fn vonage_is_called_in_words_as_the_settings_do_and_nexmo_in_results() {
    for (given, shown) in [
        ("vonage", "vonage"),
        ("nexmo", "nexmo"),
        ("phone_verify.backends.nexmo.NexmoBackend", "nexmo"),
    ] {
        let provider = FakeProvider::nexmo();
        let settings = provider.settings("", "").replace("\"nexmo\"", &format!("\"{given}\""));
        let environment = Environment::with_settings(&settings);
        let sent = environment.run(&["-v", "--format", "json", "send", NUMBER]).expect_code(0);
        assert!(sent.stderr.contains(&format!("the backend is {shown}\n")), "{sent:#?}");
        assert_eq!(sent.json_lines()[0]["backend"], "nexmo");
        assert_eq!(environment.delivery().backend, "nexmo");
        let status = environment.run(&["status", NUMBER]).expect_code(0);
        assert!(status.stdout.contains(&format!("accepted through {shown}, ")), "{status:#?}");
        let refreshed = environment.run(&REFRESH).expect_code(0);
        assert_eq!(refreshed.json()["deliveries"][0]["backend"], "nexmo");
        assert!(refreshed.stderr.contains(&format!("{shown} has no call")), "{refreshed:#?}");
        provider.next(Reply::nexmo_error("6", "Unroutable message"));
        let refused = environment.run(&["send", NUMBER]).expect_code(1);
        assert!(refused.stderr.contains(&format!(": {shown} refused it: ")), "{refused:#?}");
        assert!(refused.stderr.contains("hint: Vonage "), "{refused:#?}");
        environment.doctor(0, &["--offline"]).expect("settings.backend", "ok", &[shown]);
    }
}
