//! The checks that no server of the tests can fail.

use super::*;

/// Returns what is said of the encryption of a connection to `address`.
fn encryption(address: &str, is_encrypted: bool) -> CheckStatus {
    let target = ServerAddress::parse(address).unwrap().resolve(|_| None).unwrap();
    check_encryption(&target.configs, is_encrypted).status
}

#[test]
fn a_connection_that_leaves_this_machine_needs_encryption_and_verification() {
    for host in ["db.example.com", "192.0.2.1", "localhost,db.example.com"] {
        let address = format!("host={host} user=u sslmode=");
        let prefer = format!("{address}prefer");
        assert_eq!(encryption(&prefer, false), CheckStatus::Warning, "{host}");
        assert_eq!(encryption(&prefer, true), CheckStatus::Warning, "{host}");
        let verify = format!("{address}verify-full");
        assert_eq!(encryption(&verify, true), CheckStatus::Ok, "{host}");
    }
    for host in ["localhost", "127.0.0.2", "::1", "/tmp", "db.example.com hostaddr=127.0.0.1"] {
        let address = format!("host={host} user=u");
        for is_encrypted in [false, true] {
            assert_eq!(encryption(&address, is_encrypted), CheckStatus::Ok, "{host}");
        }
    }
}
