//! Key pairs for tests.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// A key pair that signs tokens.
pub(super) struct KeyPair {
    pub(super) algorithm: Algorithm,
    /// The public key as PEM.
    pub(super) pem: String,
    public_key: DecodingKey,
    private_key: EncodingKey,
}

impl KeyPair {
    /// Generates a key pair for each public-key algorithm.
    pub(super) fn generate_all() -> [Self; 3] {
        [Self::generate_ed25519(), Self::generate_p256(), Self::generate_rsa()]
    }

    pub(super) fn generate_ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().expect("a generated key");
        let pem = encode_pem("PUBLIC KEY", pair.public_key().as_der().expect("the key as DER").as_ref());
        let public_key = DecodingKey::from_ed_pem(pem.as_bytes()).expect("a public key in PEM");
        let private_key = EncodingKey::from_ed_der(pair.to_pkcs8().expect("the key as DER").as_ref());
        Self { algorithm: Algorithm::EdDSA, pem, public_key, private_key }
    }

    fn generate_p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a generated key");
        let pem = encode_pem("PUBLIC KEY", pair.public_key().as_der().expect("the key as DER").as_ref());
        let public_key = DecodingKey::from_ec_pem(pem.as_bytes()).expect("a public key in PEM");
        let private_key = EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("the key as DER").as_ref());
        Self { algorithm: Algorithm::ES256, pem, public_key, private_key }
    }

    fn generate_rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a generated key");
        let public_der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("the key as DER");
        let private_der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("the key as DER");
        let private_pem = encode_pem("PRIVATE KEY", private_der.as_ref());
        let pem = encode_pem("PUBLIC KEY", public_der.as_ref());
        let public_key = DecodingKey::from_rsa_pem(pem.as_bytes()).expect("a public key in PEM");
        let private_key = EncodingKey::from_rsa_pem(private_pem.as_bytes()).expect("a private key in PEM");
        Self { algorithm: Algorithm::RS256, pem, public_key, private_key }
    }

    /// Returns the public key as an entry of a JWK Set.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let jwk = Jwk::from_decoding_key(&self.public_key, None).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("the key as JSON");
        jwk["kid"] = json!(kid);
        jwk
    }

    /// Signs a token, with `kid` in its header if given.
    pub(super) fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        self.sign_with(&Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) }, claims)
    }

    /// Signs a token with the given header.
    pub(super) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.private_key).expect("a signed token")
    }
}

/// Encodes DER as PEM.
pub(super) fn encode_pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
