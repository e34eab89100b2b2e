//! Examples of the program and of each command, for their help and their manual pages.

/// What an example does, and its command line.
pub type Example = (&'static str, &'static str);

/// Returns the examples of a command, or of the program.
pub fn examples(name: &str) -> &'static [Example] {
    match name {
        "phone-verify" => &[
            ("Send a code to a number", "phone-verify send +14155552671"),
            (
                "See why a code didn't arrive or doesn't work, and what to do next",
                "phone-verify status +14155552671",
            ),
            (
                "Check the code of a person on the phone",
                "phone-verify verify +14155552671 --any-session",
            ),
        ],
        "send" => &[
            (
                "Send a code, and wait until the SMS has arrived",
                "phone-verify send +14155552671 --wait",
            ),
            (
                "See what would be sent to the numbers of a file",
                "phone-verify send --file numbers.csv --dry-run",
            ),
            (
                "Send codes to them in German, and keep the results",
                "phone-verify send --file numbers.csv --language de --format json > results.jsonl",
            ),
            (
                "Keep the numbers that failed, to correct them and send to them again",
                "phone-verify send --file numbers.csv --failures failed.csv",
            ),
            ("Continue after a stop", "phone-verify send --file numbers.csv --resume"),
        ],
        "verify" => &[
            (
                "Ask for the code of a person on the phone",
                "phone-verify verify +14155552671 --any-session",
            ),
            (
                "Check a code against the token that `send` printed",
                "phone-verify verify +14155552671 123456 --session-token \"$token\"",
            ),
            (
                "Read the code from stdin, so that no process list shows it",
                "echo \"$code\" | phone-verify verify +14155552671 --any-session",
            ),
        ],
        "list" => &[
            ("Show the newest records", "phone-verify list"),
            (
                "Show what was locked by wrong codes in the last two hours",
                "phone-verify list --locked --since 2h",
            ),
            ("Watch new records on a screen that others see", "phone-verify list --watch --mask"),
            ("Export all records", "phone-verify list --all --format csv > records.csv"),
        ],
        "deliveries" => &[
            (
                "See what failed in the last hour, and why",
                "phone-verify deliveries --failed --since 1h",
            ),
            ("See what was sent to a number that ends in 2671", "phone-verify deliveries 2671"),
            ("Watch what the carriers filter", "phone-verify deliveries --cause content --watch"),
        ],
        "status" => &[
            (
                "See why a code didn't arrive or doesn't work, and what to do next",
                "phone-verify status +14155552671",
            ),
            ("Find the number by its last digits", "phone-verify status 2671"),
            (
                "Ask the provider first whether the SMS has arrived",
                "phone-verify status +14155552671 --refresh",
            ),
        ],
        "purge" => &[
            ("Remove what has expired, from cron", "phone-verify --quiet purge"),
            (
                "Count what is older than 30 days, and remove nothing",
                "phone-verify purge --older-than 30d --dry-run",
            ),
            ("Erase everything about a number", "phone-verify purge +14155552671"),
        ],
        "migrate" => &[
            ("Create the database of the settings, or bring it up to date", "phone-verify migrate"),
            (
                "Add the indexes and the ledger to a Django site's database",
                "phone-verify --database db.sqlite3 migrate",
            ),
        ],
        "copy" => &[
            (
                "Move to a PostgreSQL server",
                "phone-verify copy --from phone-verify.sqlite3 \\\n    --to postgresql://app@db.example.com/app",
            ),
            (
                "Keep a copy of a server's records in a file",
                "phone-verify copy --from service=app --to copy.sqlite3",
            ),
        ],
        "doctor" => &[
            ("Check everything before the first SMS", "phone-verify doctor"),
            (
                "Show only what isn't ok, and ask no provider",
                "phone-verify --quiet doctor --offline",
            ),
        ],
        "stats" => &[
            ("See how each of the last 30 days went", "phone-verify stats"),
            (
                "Compare the regions of the last day, to find SMS pumping",
                "phone-verify stats --by region --since 24h",
            ),
        ],
        "init" => &[
            ("Answer a few questions", "phone-verify init"),
            (
                "Write settings from a script",
                "phone-verify init --backend nexmo --set options.key=12345678 \\\n    --set options.from=Acme --secret-env VONAGE_API_SECRET",
            ),
            (
                "Take the settings of a Django site over",
                "phone-verify init --from-django site/settings.py",
            ),
        ],
        "completions" => &[
            (
                "bash, from the next session on",
                "phone-verify completions bash \\\n    > ~/.local/share/bash-completion/completions/phone-verify",
            ),
            (
                "zsh, with `fpath+=~/.zfunc` above `compinit` in ~/.zshrc",
                "phone-verify completions zsh > ~/.zfunc/_phone-verify",
            ),
            (
                "fish",
                "phone-verify completions fish > ~/.config/fish/completions/phone-verify.fish",
            ),
            (
                "elvish, in ~/.config/elvish/rc.elv",
                "eval (phone-verify completions elvish | slurp)",
            ),
            (
                "PowerShell, in the file that $PROFILE names",
                "phone-verify completions powershell | Out-String | Invoke-Expression",
            ),
        ],
        "man" => &[
            ("Read about a command", "phone-verify man send"),
            ("Read about the settings", "phone-verify man phone-verify.toml"),
            ("Install a page for man", "phone-verify man > ~/.local/share/man/man1/phone-verify.1"),
        ],
        _ => &[],
    }
}
