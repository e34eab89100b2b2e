//! Addresses from their text to what a connection needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, TargetSessionAttrs};

use super::*;
use crate::store::error::StoreError;
use crate::system::secret::Secret;

/// Returns the error of an address that can't be parsed.
fn problem(address: &str) -> String {
    ServerAddress::parse(address).unwrap_err().to_string()
}

/// Returns what `address` means if the environment is `variables`.
fn target(address: &ServerAddress, variables: &[(&str, &str)]) -> Result<Target, StoreError> {
    address.resolve(|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn resolve(address: &str, variables: &[(&str, &str)]) -> Target {
    target(&ServerAddress::parse(address).unwrap(), variables).unwrap()
}

fn resolve_error(address: &str, variables: &[(&str, &str)]) -> String {
    target(&ServerAddress::parse(address).unwrap(), variables).err().expect("an error").to_string()
}

/// Returns `USER:PASSWORD@HOST:PORT,HOST:PORT/DBNAME`.
fn summary(configs: &[Config]) -> String {
    let server = |config: &Config| match &config.get_hosts()[0] {
        Host::Tcp(host) => format!("{host}:{}", config.get_ports()[0]),
        Host::Unix(path) => format!("{}:{}", path.display(), config.get_ports()[0]),
    };
    let servers: Vec<_> = configs.iter().map(server).collect();
    let first = &configs[0];
    let password = String::from_utf8_lossy(first.get_password().unwrap_or_default());
    let [user, dbname] = [first.get_user(), first.get_dbname()].map(Option::unwrap);
    format!("{user}:{password}@{}/{dbname}", servers.join(","))
}

fn summary_of(address: &str, variables: &[(&str, &str)]) -> String {
    summary(&resolve(address, variables).configs)
}

/// A user's home with files in it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file that only its owner can read.
    fn with(self, name: &str, content: &str) -> Self {
        fs::write(self.0.path().join(name), content).unwrap();
        self.chmod(name, 0o600);
        self
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Returns the variables of a user who lives here, with `more` of them.
    fn variables<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let home = self.0.path().to_str().unwrap();
        [("HOME", home), ("PGSYSCONFDIR", home)].into_iter().chain(more.iter().copied()).collect()
    }
}

#[test]
fn a_text_is_meant_for_a_server_or_for_a_file() {
    for server in
        ["postgresql://", "postgres://host/db", "host=a", " dbname = a", "options=-c", "service=\n"]
    {
        assert!(ServerAddress::is_meant_by(server), "{server}");
    }
    // As an address it is refused. As a file, it would be shown with the password.
    for mistake in [
        "mysql://a:b@host",
        "postgresql+psycopg://a:b@c",
        "pasword=a host=b",
        "a host=b",
        " postgresql://a:b@c",
        "\"postgresql://a:b@c\"",
        "URL=postgresql://a:b@c",
        "postgresql:/a:b@c",
        "postgresql//a:b@c",
        "a:b@c:5432/d",
        "Host=a Password=b",
        "server=a;pwd=b",
        "://",
    ] {
        assert!(ServerAddress::is_meant_by(mistake), "{mistake}");
        problem(mistake);
    }
    for file in [
        "",
        "phone.db",
        "/a=b",
        "host",
        "hosts=a",
        "=",
        "a=host",
        "file:a?b=c",
        "./host=a",
        "a/b c host=d",
        "/srv/a://b",
        "./a:b@c",
    ] {
        assert!(!ServerAddress::is_meant_by(file), "{file}");
    }
}

#[test]
fn both_forms_of_an_address_mean_the_same() {
    for (url, keywords, expected) in [
        ("postgresql://u:p@h:1/d", "user=u password=p host=h port=1 dbname=d", "u:p@h:1/d"),
        ("postgres://u@h", "user=u host=h", "u:@h:5432/u"),
        ("postgresql://u@a:1,b:2/d", "user=u host=a,b port=1,2 dbname=d", "u:@a:1,b:2/d"),
        ("postgresql://u@a,b:2/d", "user=u host=a,b port=,2 dbname=d", "u:@a:5432,b:2/d"),
        ("postgresql://u@[::1]:7/d", "user=u host=::1 port=7 dbname=d", "u:@::1:7/d"),
        ("postgresql://u@[::1]/d", "user=u host=::1 dbname=d", "u:@::1:5432/d"),
        ("postgresql://u@%2Frun%2Fpg/d", "user=u host=/run/pg dbname=d", "u:@/run/pg:5432/d"),
        (
            "postgresql:///d?host=/run/pg&user=u",
            "host=/run/pg user=u dbname=d",
            "u:@/run/pg:5432/d",
        ),
        ("postgresql://?host=h&user=u&port=3", "port=3 host=h user=u", "u:@h:3/u"),
        (
            "postgresql://x@y/z?user=u&host=h&dbname=d",
            "user=x user=u host=h dbname=d",
            "u:@h:5432/d",
        ),
        (
            "postgresql://u:a%3Db%40c%2Fd%25%20'@h/d%C3%A9",
            r"user=u password='a=b@c/d% \'' host=h dbname=dé",
            "u:a=b@c/d% '@h:5432/dé",
        ),
        ("postgresql://u:p?q:r@h/d", r"user = u password =p?q:r host= h dbname = d", ""),
        (
            "postgresql://u@h/d?password=p=q",
            r"user='u'password='p=q'host='h'dbname=d",
            "u:p=q@h:5432/d",
        ),
        ("postgresql://u:\\@h/d", r"user=u password=\\ host=h dbname=d", r"u:\@h:5432/d"),
        ("postgresql://u:'@h/d", r"user=u password=\' host=h dbname=d", "u:'@h:5432/d"),
        ("postgresql://u:p'@h/d", "user=u\tpassword=p'\r\nhost=h dbname=d  ", "u:p'@h:5432/d"),
        ("postgresql://host=u@h/d", "user=host=u host=h dbname=d", "host=u:@h:5432/d"),
    ] {
        if expected.is_empty() {
            assert!(problem(url).starts_with("a `?` in a user or a password"));
            assert_eq!(summary_of(keywords, &[]), "u:p?q:r@h:5432/d");
        } else {
            assert_eq!(summary_of(url, &[]), expected, "{url}");
            assert_eq!(summary_of(keywords, &[]), expected, "{keywords}");
        }
    }
}

#[test]
fn what_libpq_would_not_take_or_nothing_here_can_do_is_refused() {
    for (address, expected) in [
        ("postgresql://u:%zz@h", "two hexadecimal digits must follow a `%`"),
        ("postgresql://u:%4", "two hexadecimal digits"),
        ("postgresql://h/%", "two hexadecimal digits"),
        ("postgresql://h/%é0", "two hexadecimal digits"),
        ("postgresql://h/%FF", "what `%` encodes must be UTF-8"),
        ("postgresql://h/%00", "dbname must be a name without `:`"),
        ("dbname=postgresql://u:p@h/d", "dbname must be a name without `:`"),
        ("dbname='host=h password=p'", "dbname must be a name without `:`"),
        ("postgresql://u:p%00@h", "password must be text without a NUL"),
        ("host=a\0b", "host must be text without a NUL"),
        ("postgresql://[::1", "an IPv6 address must be written as [ADDRESS]"),
        ("postgresql://[]", "an IPv6 address must be written as [ADDRESS]"),
        ("postgresql://[::1]5", "only `:` and a port can follow"),
        ("postgresql://::1", "port must be a number from 1 to 65535"),
        ("postgresql://h:65536", "port must be"),
        ("port=0", "port must be"),
        ("port=1,x", "port must be"),
        ("hostaddr=localhost", "hostaddr must be an IP address"),
        (
            "postgresql://u:p@ss@h",
            "an `@` in a user, a password or a dbname must be written as %40",
        ),
        ("postgresql://u:1/2@h", "an `@` in a user, a password or a dbname must be written as %40"),
        ("postgresql://h?user", "a `=` must follow each keyword"),
        ("host", "a `=` must follow each keyword"),
        ("host=a b dbname=c", "a `=` must follow each keyword"),
        ("password=two words", "a `=` must follow each keyword"),
        ("password='open", "a quotation mark isn't closed"),
        ("password='open\\'", "a quotation mark isn't closed"),
        ("host= password=p", "an empty value must be written as ''"),
        ("=a", "something before a `=` isn't a keyword"),
        ("pass-word=a", "something before a `=` isn't a keyword"),
        ("hos=a", "`hos` is unknown; did you mean `host`?"),
        ("Password=a", "`Password` is unknown; did you mean `password`?"),
        ("postgresql://h?ssl_mode=require", "`ssl_mode` is unknown; did you mean `sslmode`?"),
        ("xyz=a", "`xyz` is unknown"),
        ("postgresql://h?ssl=false", "`ssl` is unknown"),
        ("options=-cx=y", "options isn't supported"),
        ("replication=1", "replication isn't supported"),
        ("require_auth=scram-sha-256", "require_auth isn't supported"),
        ("krbsrvname=a", "krbsrvname isn't supported"),
        ("gssencmode=require", "gssencmode must be disable or prefer"),
        ("client_encoding=LATIN1", "client_encoding must be UTF8, UTF-8, utf8, utf-8 or auto"),
        ("sslmode=on", "sslmode must be disable, allow, prefer, require, verify-ca or verify-full"),
        (
            "target_session_attrs=standby",
            "target_session_attrs must be any, read-write or read-only",
        ),
        ("connect_timeout=1s", "connect_timeout must be a whole number"),
        ("connect_timeout=99999999999", "connect_timeout must be a whole number"),
        ("sslcompression=1", "sslcompression must be 0, if it is given"),
    ] {
        let problem = problem(address);
        assert!(problem.starts_with(expected), "{address}: {problem}");
    }
    let long = "x".repeat(1_000_000);
    assert!(problem(&format!("{long}=a")).len() < 100);
    assert!(problem(&format!("host={long} {long}")).len() < 100);
    let address = ServerAddress::parse(&format!("host={long} user=u")).unwrap();
    assert_eq!(address.to_string().len(), "host= user=u".len() + long.len());
}

#[test]
fn an_address_is_shown_as_it_was_written_but_for_the_password() {
    for (address, shown) in [
        ("postgresql://u:p@h:1/d?sslmode=require", "postgresql://u@h:1/d?sslmode=require"),
        ("postgres://:p@h", "postgres://h"),
        ("postgresql://u:@h", "postgresql://u@h"),
        ("postgresql://%75@%68,[::1]:2", "postgresql://%75@%68,[::1]:2"),
        ("postgresql://h?password=p", "postgresql://h"),
        ("postgresql://h?pass%77ord=p&user=u", "postgresql://h?user=u"),
        ("postgresql://h?user=u&password=p&&port=1", "postgresql://h?user=u&port=1"),
        ("postgresql://", "postgresql://"),
        ("host=h password=p user='a b'", "host=h user='a b'"),
        (" host = h  password = 'p q' dbname=d\n", "host=h dbname=d"),
        (r"password=a\ b user=a\ b password=c", r"user=a\ b"),
        ("password=p", ""),
    ] {
        assert_eq!(ServerAddress::parse(address).unwrap().to_string(), shown, "{address}");
    }
}

#[test]
fn the_address_goes_before_the_service_before_the_environment_before_defaults() {
    let home = Home::new().with(
        ".pg_service.conf",
        "[main]\nhost=service\nuser=su\ndbname=sd\npassword=sp\nport=2\n",
    );
    let environment = home.variables(&[
        ("PGHOST", "environment"),
        ("PGUSER", "eu"),
        ("PGPASSWORD", "ep"),
        ("PGPORT", "3"),
        ("PGAPPNAME", "e"),
        ("PGDATABASE", ""),
    ]);
    for (address, expected) in [
        ("dbname=d user=u service=main host=h port=1 password=p", "u:p@h:1/d"),
        ("service=main", "su:sp@service:2/sd"),
        ("user=u service=main", "u:sp@service:2/sd"),
        ("service=main port=''", "su:sp@service:5432/sd"),
        ("dbname=d", "eu:ep@environment:3/d"),
        ("postgresql://", "eu:ep@environment:3/eu"),
        ("postgresql://h", "eu:ep@h:3/eu"),
        ("password=''", "eu:ep@environment:3/eu"),
    ] {
        assert_eq!(summary_of(address, &environment), expected, "{address}");
    }
    let by_name = home.variables(&[("PGSERVICE", "main"), ("PGHOST", "environment")]);
    assert_eq!(summary_of("user=u", &by_name), "u:sp@service:2/sd");
    let user = whoami::username().unwrap();
    assert_eq!(summary_of("host=h", &[]), format!("{user}:@h:5432/{user}"));
    for (variable, expected) in [
        (("PGPORT", "x"), "the environment variable PGPORT: port must be a number from 1 to 65535"),
        (
            ("PGREQUIREAUTH", "x"),
            "the environment variable PGREQUIREAUTH: require_auth isn't supported",
        ),
    ] {
        let problem = resolve_error("host=h", &[variable]);
        assert!(problem.starts_with(expected), "{problem}");
    }
    assert_eq!(summary_of("user=u host=h port=1", &[("PGPORT", "x")]), "u:@h:1/u");
}

#[test]
fn the_password_of_the_settings_counts_unless_the_address_holds_one() {
    let home = Home::new()
        .with("secret", "from the settings\n")
        .with(".pgpass", "*:*:*:*:file")
        .with("pg_service.conf", "[s]\npassword=service");
    let secret = || {
        let path = toml::Value::from(home.path("secret"));
        let table = toml::Table::from_iter([("file".to_owned(), path)]);
        serde::Deserialize::deserialize(toml::Value::from(table)).unwrap()
    };
    let with = |address: &str| {
        let address = ServerAddress::parse(address).unwrap();
        assert_eq!(address.own_password().is_some(), address.to_string().is_empty());
        address.with_password(secret())
    };
    let variables = home.variables(&[("PGPASSWORD", "environment")]);
    let password = |address: &ServerAddress, variables: &[_]| {
        let config = target(address, variables).unwrap().configs.remove(0);
        String::from_utf8(config.get_password().unwrap().to_owned()).unwrap()
    };
    assert_eq!(password(&with("password=own"), &variables), "own");
    assert_eq!(password(&with("service=s"), &variables), "from the settings");
    let without = ServerAddress::parse("service=s").unwrap();
    assert_eq!(password(&without, &variables), "service");
    let without = ServerAddress::parse("host=h").unwrap();
    assert_eq!(password(&without, &variables), "environment");
    assert_eq!(password(&without, &home.variables(&[])), "file");
    fs::remove_file(home.path("secret")).unwrap();
    // It isn't looked up if it doesn't count.
    assert_eq!(password(&with("password=own"), &variables), "own");
    let problem = target(&with("host=h"), &variables).err().unwrap().to_string();
    assert!(problem.starts_with("can't look up the password of the database: the file "));
}

#[test]
fn services_are_looked_up_in_the_file_of_the_user_and_then_in_that_of_the_system() {
    let home = Home::new()
        .with(".pg_service.conf", "# [a]\n[ab]\nhost=ab\nbad line\n\n [a] \n host=first\n#host=c\nhost=second\n[b]\nx=y\n[a]\nport=1")
        .with("pg_service.conf", "[a]\nhost=no\n[system]\nhost=system\nuser=u u")
        .with("mine", "[mine]\nhost=mine\npassword= a=b ");
    let variables = home.variables(&[("PGUSER", "u")]);
    assert_eq!(summary_of("service=a", &variables), "u:@first:5432/u");
    assert_eq!(summary_of("service=system", &variables), "u u:@system:5432/u u");
    let mine = home.path("mine");
    let with_file = home.variables(&[("PGUSER", "u"), ("PGSERVICEFILE", &mine)]);
    assert_eq!(summary_of("service=mine", &with_file), "u: a=b@mine:5432/u");
    assert_eq!(summary_of("service=system", &with_file), "u u:@system:5432/u u");
    let by_address = format!("service=mine servicefile='{mine}'");
    assert_eq!(summary_of(&by_address, &variables), "u: a=b@mine:5432/u");

    let file = home.path(".pg_service.conf");
    for (service, expected) in [
        ("ab", format!("service file {file}, line 4: it isn't KEYWORD=VALUE")),
        ("b", format!("service file {file}, line 11: `x` is unknown")),
        ("none", "no service file has the service none".to_owned()),
    ] {
        assert_eq!(resolve_error(&format!("service={service}"), &variables), expected);
    }
    let nested = Home::new().with(".pg_service.conf", "[a]\nservice=b");
    let problem = resolve_error("service=a", &nested.variables(&[]));
    assert!(problem.ends_with("line 2: a service can't refer to another one"));
    let missing = resolve_error("service=a", &home.variables(&[("PGSERVICEFILE", "/no/where")]));
    assert!(missing.starts_with("can't read the service file /no/where: "), "{missing}");
}

#[test]
fn the_password_file_is_searched_for_the_first_line_that_fits() {
    let lines = [
        "# h:5432:d:u:comment",
        "",
        "h",
        "h:5432:d:u:exact",
        "h:*:d:u:any port",
        r"a\:b:*:*:*:with \\ and \: and # : but no more",
        r"\*:*:*:*:a host called *",
        "localhost:*:*:*:the default socket",
        "/run/other:*:*:*:another socket",
        "e:*:*:*:",
        "*:*:d2:*:any host\r",
        "127.0.0.1:*:*:*:by address",
        "*:*:*:last:anything",
    ];
    let home = Home::new().with(".pgpass", &lines.join("\n"));
    for (address, expected) in [
        ("host=h dbname=d user=u", "exact"),
        ("host=h,other port=9,1 dbname=d user=u", "any port"),
        ("host=other,h dbname=d user=u", ""),
        ("host=h dbname=e user=u", ""),
        ("host=H dbname=d user=u", ""),
        ("host=h dbname=d user=u2", ""),
        ("host=a:b user=u", r"with \ and : and # "),
        ("host=* user=u", "a host called *"),
        ("host=/var/run/postgresql user=u", "the default socket"),
        ("host=localhost user=u", "the default socket"),
        ("host=/run/other user=u", "another socket"),
        ("host=e user=last", ""),
        ("host=x dbname=d2 user=u", "any host"),
        ("hostaddr=127.0.0.1 user=u", "by address"),
        ("host=n hostaddr=127.0.0.1 user=u", ""),
        ("host=x user=last", "anything"),
    ] {
        let target = resolve(address, &home.variables(&[]));
        let password = target.configs[0].get_password().unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(password), expected, "{address}");
        assert!(target.warnings.is_empty(), "{:?}", target.warnings);
    }
}

#[test]
fn each_server_has_its_own_line_in_the_password_file() {
    let home = Home::new().with(".pgpass", "b:5432:d:u:of b\nc:7:*:*:of c");
    let target = resolve("host=a,b,c port=5432,5432,7 user=u dbname=d", &home.variables(&[]));
    let passwords: Vec<_> = target.configs.iter().map(Config::get_password).collect();
    assert_eq!(passwords, [None, Some(&b"of b"[..]), Some(b"of c")]);
}

#[test]
fn hosts_are_tried_in_their_order_unless_it_is_to_be_random() {
    let hosts: Vec<_> = (0..20).map(|number| format!("h{number}")).collect();
    let order = |more: &str| {
        let target = resolve(&format!("host={} {more}", hosts.join(",")), &[]);
        let names = target.configs.iter().map(|config| config.get_hosts()[0].clone());
        names
            .map(|host| if let Host::Tcp(name) = host { name } else { panic!() })
            .collect::<Vec<_>>()
    };
    assert_eq!(order(""), hosts);
    let mut shuffled = order("load_balance_hosts=random");
    assert_ne!(shuffled, hosts);
    shuffled.sort_unstable();
    let mut sorted = hosts.clone();
    sorted.sort_unstable();
    assert_eq!(shuffled, sorted);
}

#[test]
fn a_password_file_that_can_not_be_used_is_ignored_with_a_warning() {
    let home = Home::new().with(".pgpass", "*:*:*:*:p").with("other", "*:*:*:*:o");
    let path = home.path(".pgpass");
    for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
        home.chmod(".pgpass", mode);
        let target = resolve("host=h user=u", &home.variables(&[]));
        assert_eq!(target.configs[0].get_password(), None);
        let expected = format!(
            "password file {path} is ignored, because others have access to it (mode {mode:03o})"
        );
        assert_eq!(target.warnings, [StoreError::new(expected, "chmod 600 it")]);
    }
    // It isn't needed.
    assert!(resolve("host=h user=u password=p", &home.variables(&[])).warnings.is_empty());
    home.chmod(".pgpass", 0o400);
    assert_eq!(summary_of("host=h user=u", &home.variables(&[])), "u:p@h:5432/u");
    let other = home.path("other");
    let named = home.variables(&[("PGPASSFILE", &other)]);
    assert_eq!(summary_of("host=h user=u", &named), "u:o@h:5432/u");
    let by_address = format!("host=h user=u passfile='{path}'");
    assert_eq!(summary_of(&by_address, &named), "u:p@h:5432/u");
    let missing = resolve("host=h passfile=/no/where", &named);
    let expected = "password file /no/where is ignored, because it can't be read: ";
    assert!(missing.warnings[0].problem.starts_with(expected), "{:?}", missing.warnings);
    let directory =
        resolve("host=h", &home.variables(&[("PGPASSFILE", home.0.path().to_str().unwrap())]));
    assert!(directory.warnings[0].problem.ends_with("is ignored, because it isn't a plain file"));
}

#[test]
fn a_mode_says_whether_there_is_tls() {
    let home = Home::new();
    fs::create_dir(Path::new(&home.path(".postgresql"))).unwrap();
    for (address, mode, has_tls) in [
        ("host=h", SslMode::Prefer, true),
        ("host=h sslmode=disable", SslMode::Disable, false),
        ("host=h sslmode=allow", SslMode::Prefer, true),
        ("host=h sslmode=prefer", SslMode::Prefer, true),
        ("host=/run sslmode=verify-full", SslMode::Disable, false),
        ("host=/run,h", SslMode::Prefer, true),
        ("host=/run hostaddr=::1", SslMode::Prefer, true),
    ] {
        let target = resolve(address, &home.variables(&[]));
        assert_eq!(
            (target.configs[0].get_ssl_mode(), target.tls.is_some()),
            (mode, has_tls),
            "{address}"
        );
    }
    for (mode, variable) in [
        ("postgresql://h?ssl=true", ""),
        ("host=h sslmode=require", ""),
        ("host=h sslmode=verify-ca", ""),
        ("host=h sslmode=verify-full", ""),
        ("host=h", "require"),
    ] {
        let variables = home.variables(&[("PGSSLMODE", variable), ("PGSSLROOTCERT", "/no/where")]);
        let problem = resolve_error(mode, &variables);
        assert!(problem.starts_with("can't read the root certificates /no/where"), "{problem}");
    }
    let problem = resolve_error("host=/run,h sslmode=require", &[]);
    assert!(problem.starts_with("sslmode requires TLS, which a server with a Unix socket"));
}

#[test]
fn a_lost_connection_is_noticed_in_time_unless_something_else_is_asked_for() {
    let seconds = Duration::from_secs;
    let config = resolve("host=h", &[]).configs.remove(0);
    assert_eq!(config.get_connect_timeout(), Some(&seconds(10)));
    assert_eq!(config.get_tcp_user_timeout(), Some(&seconds(30)));
    assert_eq!(config.get_keepalives_idle(), seconds(30));
    assert_eq!(config.get_keepalives_interval(), None);
    assert!(config.get_keepalives());
    assert_eq!(config.get_application_name(), Some("phone-verify"));

    let address = "host=h tcp_user_timeout=1500 keepalives=1 keepalives_idle=4 \
        keepalives_interval=5 keepalives_count=6 application_name=a fallback_application_name=f \
        target_session_attrs=read-write load_balance_hosts=random channel_binding=require \
        client_encoding=UTF8 gssencmode=prefer sslsni=1";
    let config = resolve(address, &[("PGCONNECT_TIMEOUT", "3")]).configs.remove(0);
    assert_eq!(config.get_connect_timeout(), Some(&seconds(3)));
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    assert_eq!(config.get_keepalives_idle(), seconds(4));
    assert_eq!(config.get_keepalives_interval(), Some(seconds(5)));
    assert_eq!(config.get_keepalives_retries(), Some(6));
    assert_eq!(config.get_application_name(), Some("a"));
    assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    assert_eq!(config.get_channel_binding(), ChannelBinding::Require);

    for (given, expected) in [
        ("", TargetSessionAttrs::Any),
        ("target_session_attrs=any", TargetSessionAttrs::Any),
        ("target_session_attrs=read-only", TargetSessionAttrs::ReadOnly),
    ] {
        let config = resolve(&format!("host=h {given}"), &[]).configs.remove(0);
        assert_eq!(config.get_target_session_attrs(), expected, "{given}");
    }

    let address = "host=h connect_timeout=0 tcp_user_timeout=-1 keepalives=0 keepalives_count=-1 \
        fallback_application_name=f target_session_attrs=read-only channel_binding=disable";
    let config = resolve(address, &[]).configs.remove(0);
    assert_eq!(config.get_connect_timeout(), None);
    assert_eq!(config.get_tcp_user_timeout(), None);
    assert_eq!(config.get_keepalives_retries(), None);
    assert!(!config.get_keepalives());
    assert_eq!(config.get_application_name(), Some("f"));
    assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadOnly);
    assert_eq!(config.get_channel_binding(), ChannelBinding::Disable);
}

#[test]
fn an_error_names_each_server_that_was_tried() {
    let target = resolve("host=/run/pg,h port=1,2 user=u dbname=d", &[]);
    assert_eq!(target.servers, "socket /run/pg/.s.PGSQL.1, or h, port 2");
}

/// Returns `text` as a URL can have it anywhere.
fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn no_text_shows_its_password(password in "S3cr3t[^\0]{0,20}", rest in ".{0,20}") {
        let encoded = percent_encoded(&password);
        let quoted = password.replace('\\', "\\\\").replace('\'', "\\'");
        let right = [
            format!("postgresql://u:{encoded}@h/d"),
            format!("postgresql://u@h/d?password={encoded}&sslmode=disable"),
            format!("user=u host=h password='{quoted}' dbname=d"),
        ];
        for text in right {
            let address = ServerAddress::parse(&text).unwrap();
            prop_assert!(address.own_password().is_some());
            let config = target(&address, &[]).unwrap().configs.remove(0);
            prop_assert_eq!(config.get_password(), Some(password.as_bytes()));
            let address = address.with_password(Secret::literal(password.clone()));
            let error = target(&address, &[("PGPORT", "x")]).err().unwrap();
            let seen = format!("{address:?} {address} {error} {error:?} {config:?}");
            prop_assert!(!seen.contains("S3cr3t"), "{}", seen);
            prop_assert!(!seen.contains(&encoded), "{}", seen);
        }
        let raw = [
            format!("postgresql://u:{password}@h/d"),
            format!("postgresql://u:{password}@{rest}"),
            format!("postgresql://u@h/d?password={password}&{rest}"),
            format!("postgresql://u@h/d?{rest}&password={password}"),
            format!("user=u password={password} {rest}"),
            format!("user=u password='{password} {rest}"),
            format!("host= password={password} {rest}"),
        ];
        for text in raw {
            let seen = match ServerAddress::parse(&text) {
                Ok(address) => format!("{address:?} {address}"),
                Err(error) => format!("{error:?} {error}"),
            };
            prop_assert!(!seen.contains("S3cr3t"), "{text}: {seen}");
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), url in any::<bool>()) {
        let text = if url { format!("postgresql://{text}") } else { text };
        let _ = ServerAddress::parse(&text);
    }
}
