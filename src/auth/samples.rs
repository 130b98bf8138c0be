//! Key pairs for tests.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// A key pair.
pub(super) struct KeyPair {
    pub(super) algorithm: Algorithm,
    /// The public key as PEM.
    pub(super) pem: String,
    public: DecodingKey,
    private: EncodingKey,
}

impl KeyPair {
    /// A fresh one of each public-key algorithm.
    pub(super) fn of_each_algorithm() -> [Self; 3] {
        [Self::ed25519(), Self::p256(), Self::rsa()]
    }

    pub(super) fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let pem = pem("PUBLIC KEY", pair.public_key().as_der().expect("DER").as_ref());
        let public = DecodingKey::from_ed_pem(pem.as_bytes()).expect("PEM");
        let private = EncodingKey::from_ed_der(pair.to_pkcs8().expect("DER").as_ref());
        Self { algorithm: Algorithm::EdDSA, pem, public, private }
    }

    fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let pem = pem("PUBLIC KEY", pair.public_key().as_der().expect("DER").as_ref());
        let public = DecodingKey::from_ec_pem(pem.as_bytes()).expect("PEM");
        let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("DER").as_ref());
        Self { algorithm: Algorithm::ES256, pem, public, private }
    }

    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("DER");
        let private = pem("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("DER").as_ref());
        let pem = pem("PUBLIC KEY", public.as_ref());
        let public = DecodingKey::from_rsa_pem(pem.as_bytes()).expect("PEM");
        let private = EncodingKey::from_rsa_pem(private.as_bytes()).expect("PEM");
        Self { algorithm: Algorithm::RS256, pem, public, private }
    }

    /// The public key for a set.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let jwk = Jwk::from_decoding_key(&self.public, None).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = json!(kid);
        jwk
    }

    /// A token that names its key, or doesn't.
    pub(super) fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        self.sign_with(&Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) }, claims)
    }

    /// A token with this header.
    pub(super) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.private).expect("signs")
    }
}

/// DER as PEM.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
