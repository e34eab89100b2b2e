//! The database of a Django site: the tables of django-phone-verify as each of its migrations leaves them.

use super::Environment;

/// The table as migration 0003 leaves it, in the words of SQLite's own catalogue.
pub(crate) const TABLE: &str = concat!(
    r#"CREATE TABLE "sms_verification" ("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "#,
    r#""modified_at" datetime NOT NULL, "phone_number" varchar(128) NOT NULL, "security_code" varchar(120) NOT NULL, "#,
    r#""session_token" varchar(500) NOT NULL, "is_verified" bool NOT NULL, "#,
    r#""failed_attempts" integer unsigned NOT NULL CHECK ("failed_attempts" >= 0))"#
);
/// The unique index of migrations 0002 and 0003.
pub(crate) const UNIQUE_INDEX: &str = concat!(
    r#"CREATE UNIQUE INDEX "sms_verification_security_code_phone_number_session_token_7e72282c_uniq" "#,
    r#"ON "sms_verification" ("security_code", "phone_number", "session_token")"#
);
/// The table as migration 0002 leaves it.
pub(crate) const TABLE_0002: &str = concat!(
    r#"CREATE TABLE "sms_verification" ("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "#,
    r#""modified_at" datetime NOT NULL, "phone_number" varchar(128) NOT NULL, "security_code" varchar(120) NOT NULL, "#,
    r#""session_token" varchar(500) NOT NULL, "is_verified" bool NOT NULL)"#
);
/// The table as migration 0001 leaves it.
pub(crate) const TABLE_0001: &str = concat!(
    r#"CREATE TABLE "sms_verification" ("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "#,
    r#""modified_at" datetime NOT NULL, "otp" varchar(120) NOT NULL, "phone_number" varchar(128) NOT NULL, "#,
    r#""session_code" varchar(500) NOT NULL)"#
);
/// The unique index of migration 0001.
pub(crate) const UNIQUE_INDEX_0001: &str = concat!(
    r#"CREATE UNIQUE INDEX "sms_verification_otp_phone_number_session_code_f31b942e_uniq" "#,
    r#"ON "sms_verification" ("otp", "phone_number", "session_code")"#
);

/// The tables that older versions of django-phone-verify left, with their indexes.
pub(crate) const OLDER_TABLES: [(&str, &str); 2] =
    [(TABLE_0001, UNIQUE_INDEX_0001), (TABLE_0002, UNIQUE_INDEX)];

const DJANGO_MIGRATIONS: &str = concat!(
    r#"CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "#,
    r#""app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL)"#
);

impl Environment {
    /// Returns an environment on the console backend, with the further settings `extra` and the table of a Django site.
    pub(crate) fn console(extra: &str) -> Self {
        let environment = Self::with_settings(&format!("backend = \"console\"\n{extra}\n"));
        environment.create_table();
        environment
    }

    /// Creates the table of a Django site in a new file. On a server, it is there.
    pub(crate) fn create_table(&self) {
        if self.server.is_none() {
            self.execute(&[TABLE, UNIQUE_INDEX]);
        }
    }

    /// Returns an environment on the console backend, with a Django site's `django_migrations` and these tables and indexes
    /// beside it.
    pub(crate) fn django_site(statements: &[&str]) -> Self {
        let environment = Self::with_settings("backend = \"console\"\n");
        environment.execute(&[DJANGO_MIGRATIONS]);
        environment.execute(&["INSERT INTO django_migrations (app, name, applied)
         VALUES ('phone_verify', '0001_initial', '2026-01-15 23:30:00')"]);
        environment.execute(statements);
        environment
    }
}
