use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS12;
use rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion};
use tempfile::TempDir;

use super::*;

/// A certificate that signed [`CERTIFICATE`].
const ROOT: &str = "-----BEGIN CERTIFICATE-----
MIIBSTCB8aADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCXRlc3Qgcm9v
dDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJ
dGVzdCByb290MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+SeOBt8uo+qB0qUt
6j6oC/jYmMKw1BC3kUJbDTjNrrhpnziKzhOco/ZOMNhZiM+W+dIWLvT0ApJy7t3q
+sjrdKMyMDAwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUbk5J/fXfdrCK7XUm
fz0PfaLOf5owCgYIKoZIzj0EAwIDRwAwRAIgC92/QKW4lW1EitFnu2me4m4VRLTT
vpKtYbaNwYn2UEYCIFKsE5f8B8A9PS8DGmmXM3Fj0KH3Wzie+D0zNDx5U/sf
-----END CERTIFICATE-----";
/// A certificate of db.example, valid until 2120.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBfjCCASSgAwIBAgIBAjAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAl0ZXN0IHJv
b3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBUxEzARBgNVBAMM
CmRiLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATkIoeqjaT+xkGA
vSJBE8Dgd/xLg1iZaLlNIAr3zLpwvGnLP8JeBeZcxQTtbpTPmx2ZIS+uRBpBvU+D
7g1smGwAo2QwYjAJBgNVHRMEAjAAMBUGA1UdEQQOMAyCCmRiLmV4YW1wbGUwHQYD
VR0OBBYEFBQvsYLa8jZJO1B6PA1rCfXwsYJUMB8GA1UdIwQYMBaAFG5OSf3133aw
iu11Jn89D32izn+aMAoGCCqGSM49BAMCA0gAMEUCIGnrta10hoxsjGh8p6anP6M2
VCIZtksF1mAhhoPD5zbHAiEAlecHv2bu/URmq8FXgAczLlWTiJvyVw3FSlhLgJDj
yVc=
-----END CERTIFICATE-----";
/// The key of [`CERTIFICATE`].
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggk42iNWyRQ/7+3Jd
BXdtZPL8ZR4z5kTQ2oNGYtCAAwOhRANCAATkIoeqjaT+xkGAvSJBE8Dgd/xLg1iZ
aLlNIAr3zLpwvGnLP8JeBeZcxQTtbpTPmx2ZIS+uRBpBvU+D7g1smGwA
-----END PRIVATE KEY-----";

/// Another key.
const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgd4oAu+af+Nyi5KDV
tOkJecYhoivGBuoDoWVL578PjQWhRANCAAQ/EP/BIrGCb8ndErIZ92/+4oYVdddJ
6qg4ropB0oxEsk5S4CGY723Jp0oX0SdwEoe/As8/yD9b7ylqpOliQ1Eo
-----END PRIVATE KEY-----";

/// A user's home.
struct Home(TempDir);

impl Home {
    /// Returns a home with `files` in the directory for certificates, which only their owner can read.
    fn with(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(DIRECTORY)).unwrap();
        let home = Self(home);
        for (name, content) in files {
            fs::write(home.path(name), content).unwrap();
            home.chmod(name, 0o600);
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(DIRECTORY).join(name)
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Returns what the parameters in `given` come to, or what is wrong, and the warnings.
    fn configure(&self, given: &[(&str, &str)]) -> (Result<ClientConfig, String>, Vec<String>) {
        let mut parameters = Parameters::default();
        for (name, value) in given {
            parameters.set(name, (*value).to_owned()).unwrap();
        }
        let mut warnings = Vec::new();
        let config = mode(&parameters)
            .and_then(|mode| client_config(&parameters, mode, Some(self.0.path()), &mut warnings));
        let warnings = warnings.iter().map(ToString::to_string).collect();
        (config.map_err(|error| error.to_string()), warnings)
    }

    /// Returns what is wrong with the parameters in `given`.
    fn problem(&self, given: &[(&str, &str)]) -> String {
        self.configure(given).0.unwrap_err()
    }
}

/// Returns whether a client with `config` trusts [`CERTIFICATE`] for `name`.
fn trusts(config: ClientConfig, name: &'static str) -> bool {
    trusts_with(config, name, KEY, ALL_VERSIONS)
}

/// Returns the same about a server that has the private key `key` and these versions of TLS.
fn trusts_with(
    config: ClientConfig,
    name: &'static str,
    key: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    // Unlike `with_single_cert`, this doesn't ask whether they belong together.
    let certified = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certified));
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let name = ServerName::try_from(name).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut sent = Vec::new();
        client.write_tls(&mut sent).unwrap();
        server.read_tls(&mut &sent[..]).unwrap();
        server.process_new_packets().unwrap();
        let mut answer = Vec::new();
        server.write_tls(&mut answer).unwrap();
        client.read_tls(&mut &answer[..]).unwrap();
        if client.process_new_packets().is_err() {
            return false;
        }
    }
    true
}

#[test]
fn a_certificate_counts_only_if_tls_is_required() {
    let home = Home::with(&[("root.crt", ROOT)]);
    for (mode, is_verified) in [
        ("allow", false),
        ("prefer", false),
        ("", false),
        ("require", true),
        ("verify-ca", true),
        ("verify-full", true),
    ] {
        for (name, is_right) in [("db.example", true), ("other.example", false)] {
            let (config, warnings) = home.configure(&[("sslmode", mode)]);
            assert_eq!(trusts(config.unwrap(), name), is_right || !is_verified, "{mode} {name}");
            assert!(warnings.is_empty(), "{mode}");
        }
    }
}

#[test]
fn a_server_without_the_key_of_its_certificate_is_not_trusted_even_if_any_certificate_is() {
    let home = Home::with(&[]);
    for version in [&TLS12, &TLS13] {
        for (key, is_trusted) in [(KEY, true), (OTHER_KEY, false)] {
            let (config, _) = home.configure(&[("sslmode", "prefer")]);
            let trusts = trusts_with(config.unwrap(), "db.example", key, &[version]);
            assert_eq!(trusts, is_trusted, "{version:?}");
        }
    }
}

#[test]
fn root_certificates_come_from_the_parameter_or_the_user_or_the_system() {
    let other = Home::with(&[("mine", ROOT), ("root.crt", CERTIFICATE)]);
    let mine = other.path("mine");
    let mode = ("sslmode", "verify-full");
    let (config, _) = other.configure(&[mode, ("sslrootcert", mine.to_str().unwrap())]);
    assert!(trusts(config.unwrap(), "db.example"));
    let users = Home::with(&[("root.crt", ROOT)]);
    assert!(trusts(users.configure(&[mode]).0.unwrap(), "db.example"));
    for given in [&[("sslrootcert", "system")][..], &[mode, ("sslrootcert", "system")]] {
        // A machine without any certificate can't trust this one either.
        assert!(!users.configure(given).0.is_ok_and(|config| trusts(config, "db.example")));
    }
}

#[test]
fn root_certificates_without_verification_are_pointed_out() {
    let home = Home::with(&[]);
    let (config, warnings) = home.configure(&[("sslrootcert", "/nowhere")]);
    assert!(trusts(config.unwrap(), "other.example"));
    assert_eq!(warnings, ["sslrootcert has no effect with sslmode=prefer"]);
    let problem = home.problem(&[("sslmode", "allow"), ("sslrootcert", "system")]);
    assert_eq!(problem, "sslrootcert=system has no effect with sslmode=allow");
}

#[test]
fn a_file_of_root_certificates_has_to_hold_one() {
    // As PEM it is fine.
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    let home = Home::with(&[("empty", ""), ("key", KEY), ("cut", &ROOT[..200]), ("bad", bad)]);
    for (name, expected) in [
        ("nowhere", "No such file"),
        ("empty", "it holds no certificate in PEM form"),
        ("key", "it holds no certificate in PEM form"),
        ("cut", ""),
        ("bad", "a certificate is bad: "),
    ] {
        let path = home.path(name);
        let problem =
            home.problem(&[("sslmode", "require"), ("sslrootcert", path.to_str().unwrap())]);
        let expected = format!("can't read the root certificates {}: {expected}", path.display());
        assert!(problem.starts_with(&expected), "{problem}");
    }
}

#[test]
fn the_user_s_certificate_is_offered_with_its_key() {
    let files = [("postgresql.crt", CERTIFICATE), ("postgresql.key", KEY)];
    let home = Home::with(&files);
    let has_certificate =
        |given: &[_]| home.configure(given).0.unwrap().client_auth_cert_resolver.has_certs();
    assert!(has_certificate(&[]));
    assert!(!has_certificate(&[("sslcertmode", "disable")]));
    let none = Home::with(&[]);
    assert!(!none.configure(&[]).0.unwrap().client_auth_cert_resolver.has_certs());
    let paths = ["postgresql.crt", "postgresql.key"].map(|name| home.path(name));
    let [certificate, key] = [0, 1].map(|index: usize| paths[index].to_str().unwrap());
    let given = [("sslcert", certificate), ("sslkey", key)];
    assert!(none.configure(&given).0.unwrap().client_auth_cert_resolver.has_certs());

    assert!(none.problem(&given[..1]).ends_with("postgresql.crt has no private key"));
    let problem = none.problem(&[given[0], ("sslkey", certificate)]);
    assert!(problem.ends_with("postgresql.crt holds no private key that isn't encrypted"));
    let mismatch = Home::with(&[("postgresql.crt", ROOT), ("postgresql.key", KEY)]);
    assert!(mismatch.problem(&[]).starts_with("can't use the client certificate"));
}

#[test]
fn a_private_key_has_to_be_private() {
    let home = Home::with(&[("postgresql.crt", CERTIFICATE), ("postgresql.key", KEY)]);
    for mode in [0o604, 0o620, 0o666, 0o610] {
        home.chmod("postgresql.key", mode);
        let problem = home.problem(&[]);
        assert!(problem.ends_with(&format!("others have access to it (mode {mode:03o})")));
    }
    home.chmod("postgresql.key", 0o400);
    assert!(home.configure(&[]).0.is_ok());
    // As a key in a volume of Kubernetes is.
    home.chmod("postgresql.key", 0o640);
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(home.configure(&[]).0.is_ok(), is_root);
}

#[test]
fn tls_without_a_request_before_it_needs_tls_in_any_case() {
    let mut parameters = Parameters::default();
    for (given, mode, expected) in [
        ("", SslMode::Prefer, Ok(SslNegotiation::Postgres)),
        ("postgres", SslMode::Require, Ok(SslNegotiation::Postgres)),
        ("direct", SslMode::Require, Ok(SslNegotiation::Direct)),
        ("direct", SslMode::Prefer, Err(())),
    ] {
        parameters.set("sslnegotiation", given.to_owned()).unwrap();
        assert_eq!(negotiation(&parameters, mode).map_err(|_| ()), expected, "{given} {mode:?}");
    }
}

#[test]
fn an_older_tls_can_be_ruled_out() {
    let home = Home::with(&[]);
    for (least, supports_older) in [("", true), ("TLSv1.2", true), ("TLSv1.3", false)] {
        let config = home.configure(&[("ssl_min_protocol_version", least)]).0.unwrap();
        assert_eq!(config.alpn_protocols, [b"postgresql"]);
        let supports = format!("{config:?}").contains("TLSv1_2");
        assert_eq!(supports, supports_older, "{least}");
    }
}
