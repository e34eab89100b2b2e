//! The token that ties a security code to the device that asked for it.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rand::{CryptoRng, RngExt};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;

use super::{PhoneNumber, trimmed_input};

/// The most characters that the table's `session_token` column holds.
const MAX_LENGTH: usize = 500;

/// A session token: a JSON Web Token (RFC 7519) like those of django-phone-verify's `generate_session_token`.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct SessionToken(String);

/// The key that signs session tokens.
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Returns the key of a Django site, its SECRET_KEY.
    pub fn from_secret(secret: &SecretString) -> Self {
        Self(secret.expose_secret().as_bytes().to_owned())
    }

    /// Returns a fresh key. It needn't be kept: tokens are looked up, and their signature is never checked.
    pub fn random(random: &mut impl CryptoRng) -> Self {
        Self(random.random::<[u8; 32]>().to_vec())
    }
}

impl SessionToken {
    /// Returns a new token for `phone_number`, signed with HMAC-SHA-256 (HS256, RFC 7518).
    pub fn issue(
        phone_number: &PhoneNumber,
        key: &SigningKey,
        random: &mut impl CryptoRng,
    ) -> Self {
        #[derive(Serialize)]
        struct Claims<'a> {
            phone_number: &'a PhoneNumber,
            nonce: f64,
        }
        let claims = serde_json::to_string(&Claims { phone_number, nonce: random.random() })
            .expect("a text and a finite number are JSON");
        let signed = format!(
            "{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
            BASE64_URL_SAFE_NO_PAD.encode(claims)
        );
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
        mac.update(signed.as_bytes());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Self(format!("{signed}.{signature}"))
    }

    /// Returns a token from the table.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns a typed token, without white space around it.
    ///
    /// # Errors
    /// Returns what is wrong if nothing is left, or if the token is longer than the table's column.
    pub fn from_input(text: &str) -> Result<Self, String> {
        trimmed_input(text, MAX_LENGTH).map(|text| Self(text.to_owned()))
    }

    /// Returns the token in its compact form, `header.claims.signature`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_token_has_the_header_and_the_claims_of_django_phone_verify() {
        let phone_number = PhoneNumber::from_stored("+14155552671".into());
        let key = SigningKey::from_secret(&"secret".into());
        let mut random = StdRng::seed_from_u64(1);
        let token = SessionToken::issue(&phone_number, &key, &mut random);
        let parts: Vec<_> = token.as_str().split('.').collect();
        assert_eq!(parts.len(), 3);
        let decode =
            |part| String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(decode(parts[0]), r#"{"alg":"HS256","typ":"JWT"}"#);
        assert!(decode(parts[1]).starts_with(r#"{"phone_number":"+14155552671","nonce":0."#));
        let claims: serde_json::Value = serde_json::from_str(&decode(parts[1])).unwrap();
        assert_eq!(claims["phone_number"], "+14155552671");
        let nonce = claims["nonce"].as_f64().unwrap();
        assert!((0.0..1.0).contains(&nonce));
        assert_ne!(token, SessionToken::issue(&phone_number, &key, &mut random));
    }

    #[test]
    fn a_huge_or_empty_token_is_refused() {
        assert!(SessionToken::from_input("  ").is_err());
        assert!(SessionToken::from_input(&"a".repeat(501)).is_err());
        assert!(SessionToken::from_input(&"a".repeat(500)).is_ok());
    }
}
