//! TLS for the provider, with a certificate for 127.0.0.1 that no client trusts by default.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A self-signed certificate for 127.0.0.1, valid until 2120, as a file for `SSL_CERT_FILE`.
pub(crate) const TRUSTED_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBgDCCASagAwIBAgIBATAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJwaG9uZS12
ZXJpZnkgdGVzdHMwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMB0x
GzAZBgNVBAMMEnBob25lLXZlcmlmeSB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49
AwEHA0IABONftb+nml7suAIcmvttCviT7cDGjAnHiIu5/Whn/f8e83Gw9gA2pXO6
BVtXW5TE03uGlFK2Ezr7/MVW/MgXPVKjVTBTMA8GA1UdEQQIMAaHBH8AAAEwDAYD
VR0TAQH/BAIwADATBgNVHSUEDDAKBggrBgEFBQcDATAdBgNVHQ4EFgQUSpSlxrL4
Ukyjtv4FBVQ6C8F5jCQwCgYIKoZIzj0EAwIDSAAwRQIgLSEL5X6VRArXvTr9VvV4
ecrbCuG1GFxIqn4kDovTE+ACIQCY1nO22y/ODvZHDoKAYoS7c8AnaHzpxhLB2AUH
bKqpRA==
-----END CERTIFICATE-----
";

/// The same, but valid until 2021.
pub(super) const EXPIRED_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBfjCCASSgAwIBAgIBAjAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJwaG9uZS12
ZXJpZnkgdGVzdHMwHhcNMjAwMTAxMDAwMDAwWhcNMjEwMTAxMDAwMDAwWjAdMRsw
GQYDVQQDDBJwaG9uZS12ZXJpZnkgdGVzdHMwWTATBgcqhkjOPQIBBggqhkjOPQMB
BwNCAATjX7W/p5pe7LgCHJr7bQr4k+3AxowJx4iLuf1oZ/3/HvNxsPYANqVzugVb
V1uUxNN7hpRSthM6+/zFVvzIFz1So1UwUzAPBgNVHREECDAGhwR/AAABMAwGA1Ud
EwEB/wQCMAAwEwYDVR0lBAwwCgYIKwYBBQUHAwEwHQYDVR0OBBYEFEqUpcay+FJM
o7b+BQVUOgvBeYwkMAoGCCqGSM49BAMCA0gAMEUCIHjWG2ipHJrgerBc/Q9vjEW9
kdPaBM4elJ6k0WSepSCSAiEAm0vns0ehdaZm4ZmnhV36KkpclRy2NNuuyTxBh95a
Psw=
-----END CERTIFICATE-----
";

/// The same, but valid only from 2100 on.
pub(super) const FUTURE_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBgTCCASigAwIBAgIBBDAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJwaG9uZS12
ZXJpZnkgdGVzdHMwIhgPMjEwMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFow
HTEbMBkGA1UEAwwScGhvbmUtdmVyaWZ5IHRlc3RzMFkwEwYHKoZIzj0CAQYIKoZI
zj0DAQcDQgAE41+1v6eaXuy4Ahya+20K+JPtwMaMCceIi7n9aGf9/x7zcbD2ADal
c7oFW1dblMTTe4aUUrYTOvv8xVb8yBc9UqNVMFMwDwYDVR0RBAgwBocEfwAAATAM
BgNVHRMBAf8EAjAAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMB0GA1UdDgQWBBRKlKXG
svhSTKO2/gUFVDoLwXmMJDAKBggqhkjOPQQDAgNHADBEAiB5prDISYgD7Hq6smg1
zlpne0W32Wa9CNAjkZdsjLhS+wIgcFLGw4rkfA9fopQti1lxLDYyllLxBvHRwljK
HAK+Ef4=
-----END CERTIFICATE-----
";

/// The same as the first, but of an authority (`CA:TRUE`).
pub(super) const AUTHORITY_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBbTCCARSgAwIBAgIBAzAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJwaG9uZS12
ZXJpZnkgdGVzdHMwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMB0x
GzAZBgNVBAMMEnBob25lLXZlcmlmeSB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49
AwEHA0IABONftb+nml7suAIcmvttCviT7cDGjAnHiIu5/Whn/f8e83Gw9gA2pXO6
BVtXW5TE03uGlFK2Ezr7/MVW/MgXPVKjQzBBMA8GA1UdEQQIMAaHBH8AAAEwDwYD
VR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUSpSlxrL4Ukyjtv4FBVQ6C8F5jCQwCgYI
KoZIzj0EAwIDRwAwRAIgexklgYTJFJLs9oKSBNfwWs86+2o2o5pGCSp6GrH4l2MC
IB0T7zPN/zt8lHuR1k7FBNM9zUht18jtQhTUQzyFKoYM
-----END CERTIFICATE-----
";

/// Their key. It protects nothing outside these tests.
pub(crate) const TRUSTED_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrfoyAg06P36gDR4R
bGbd2PYni17NmJjGF23llrn+TWKhRANCAATjX7W/p5pe7LgCHJr7bQr4k+3AxowJ
x4iLuf1oZ/3/HvNxsPYANqVzugVbV1uUxNN7hpRSthM6+/zFVvzIFz1S
-----END PRIVATE KEY-----
";

/// Puts TLS around a connection. The handshake happens with the first read.
pub(super) fn accept(
    stream: TcpStream,
    certificate: &str,
) -> StreamOwned<ServerConnection, TcpStream> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(TRUSTED_KEY.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key fits the certificate");
    let connection = ServerConnection::new(Arc::new(config)).expect("a connection");
    StreamOwned::new(connection, stream)
}
