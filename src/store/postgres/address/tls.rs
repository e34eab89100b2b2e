//! How a connection is encrypted, and which certificates are trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, WantsClientCert};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ALL_VERSIONS, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::config::{SslMode, SslNegotiation};

use super::files;
use super::parameters::Parameters;
use crate::store::error::StoreError;
use crate::system::access::Access;

/// The directory in the user's home where the certificates are that no parameter names.
const DIRECTORY: &str = ".postgresql";
/// The name that stands for the certificates that the system trusts.
const SYSTEM: &str = "system";
const KEY_HINT: &str = "give its PEM file as sslkey";

/// Returns whether the server is asked for TLS. It is refused if its certificate isn't good, as `verify-full` has it, once TLS is
/// required: rustls can't do `require` and `verify-ca` with less.
pub(super) fn mode(parameters: &Parameters) -> Result<SslMode, StoreError> {
    let has_system_roots = parameters.get("sslrootcert") == Some(SYSTEM);
    match parameters.get("sslmode") {
        None if has_system_roots => Ok(SslMode::Require),
        Some(weak @ ("allow" | "prefer")) if has_system_roots => Err(StoreError::new(
            format!("sslrootcert=system has no effect with sslmode={weak}"),
            "use sslmode=verify-full",
        )),
        None | Some("allow" | "prefer") => Ok(SslMode::Prefer),
        Some("disable") => Ok(SslMode::Disable),
        Some(_) => Ok(SslMode::Require),
    }
}

/// Returns how TLS begins.
pub(super) fn negotiation(
    parameters: &Parameters,
    mode: SslMode,
) -> Result<SslNegotiation, StoreError> {
    match parameters.get("sslnegotiation") {
        Some("direct") if mode == SslMode::Prefer => Err(StoreError::new(
            "sslnegotiation=direct needs TLS, and sslmode allows a connection without it",
            "use sslmode=verify-full",
        )),
        Some("direct") => Ok(SslNegotiation::Direct),
        _ => Ok(SslNegotiation::Postgres),
    }
}

/// Returns what rustls needs to know for a connection with TLS. Adds what has no effect to `warnings`.
pub(super) fn client_config(
    parameters: &Parameters,
    mode: SslMode,
    home: Option<&Path>,
    warnings: &mut Vec<StoreError>,
) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = match parameters.get("ssl_min_protocol_version") {
        Some("TLSv1.3") => &[&TLS13],
        _ => ALL_VERSIONS,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(versions).expect("versions that ring has");
    let builder = if mode == SslMode::Require {
        match roots(parameters, home)? {
            Some(roots) => builder.with_root_certificates(roots),
            None => builder.with_platform_verifier().map_err(|error| {
                let problem =
                    format!("can't load the certificates that the system trusts: {error}");
                StoreError::new(problem, "install ca-certificates, or give a file as sslrootcert")
            })?,
        }
    } else {
        if parameters.get("sslrootcert").is_some() {
            let mode = parameters.get("sslmode").unwrap_or("prefer");
            let problem = format!("sslrootcert has no effect with sslmode={mode}");
            warnings.push(StoreError::new(problem, "use sslmode=verify-full"));
        }
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    };
    let mut config = with_client_certificate(builder, parameters, home)?;
    // A server takes TLS without a request before it only with this (`sslnegotiation=direct`). libpq always says so.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

/// Returns the certificates that are trusted instead of those that the system trusts.
fn roots(
    parameters: &Parameters,
    home: Option<&Path>,
) -> Result<Option<RootCertStore>, StoreError> {
    let path = match parameters.get("sslrootcert") {
        Some(SYSTEM) => return Ok(None),
        given => file_or_default(given, home, "root.crt"),
    };
    let Some(path) = path else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("root certificates", &path)? {
        roots.add(certificate).map_err(|error| {
            files::unreadable("root certificates", &path, format!("a certificate is bad: {error}"))
        })?;
    }
    Ok(Some(roots))
}

/// Adds the certificate that identifies the client, if there is one. It is sent only if the server asks for it.
fn with_client_certificate(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    parameters: &Parameters,
    home: Option<&Path>,
) -> Result<ClientConfig, StoreError> {
    let path = match parameters.get("sslcertmode") {
        Some("disable") => None,
        _ => file_or_default(parameters.get("sslcert"), home, "postgresql.crt"),
    };
    let Some(path) = path else { return Ok(builder.with_no_client_auth()) };
    let certificates = certificates("client certificate", &path)?;
    let Some(key_path) = file_or_default(parameters.get("sslkey"), home, "postgresql.key") else {
        let problem = format!("the client certificate {} has no private key", path.display());
        return Err(StoreError::new(problem, KEY_HINT));
    };
    let key = private_key(&key_path)?;
    builder.with_client_auth_cert(certificates, key).map_err(|error| {
        let (path, key_path) = (path.display(), key_path.display());
        let problem = format!("can't use the client certificate {path} with {key_path}: {error}");
        StoreError::new(problem, "give the certificate as sslcert and its private key as sslkey")
    })
}

/// Returns the file that a parameter names, or the file `name` of the user if there is one.
fn file_or_default(given: Option<&str>, home: Option<&Path>, name: &str) -> Option<PathBuf> {
    let default = || home.map(|home| home.join(DIRECTORY).join(name)).filter(|path| path.exists());
    given.map(PathBuf::from).or_else(default)
}

/// Returns the certificates in the PEM file at `path`, of which there is at least one.
fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let pem = files::read(what, path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(files::unreadable(what, path, "it holds no certificate in PEM form")),
        Err(error) => Err(files::unreadable(what, path, error)),
    }
}

/// Returns the private key in the PEM file at `path`, which must be as private as libpq wants it.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, StoreError> {
    let what = "private key";
    let access = Access::of(path).map_err(|error| files::unreadable(what, path, error))?;
    if access.is_strangers() || !(access.is_private() || access.is_lent_by_root()) {
        let problem = format!(
            "the private key {} belongs to another user, or others have access to it ({access})",
            path.display()
        );
        return Err(StoreError::new(
            problem,
            "chown it to the user who runs phone-verify, and chmod 600 it",
        ));
    }
    PrivateKeyDer::from_pem_slice(&files::read(what, path)?).map_err(|_| {
        let problem = format!("{} holds no private key that isn't encrypted", path.display());
        StoreError::new(problem, KEY_HINT)
    })
}

/// Trusts any certificate, as libpq does if TLS isn't required: who can intercept such a connection can do without TLS as well. The
/// server has to have the key of its certificate, though, which channel binding relies on.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
