//! Attacks on the signature of a token that a public key verifies: everyone can have that key, and it must not be
//! possible to sign with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contacts::config::TokenSettings;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use super::{BASE64, expect_invalid_token, get_with_token, sign_message};
use crate::fixtures::KeyPair;
use crate::support::{Account, Server, timestamp_in, token_settings};

/// The order of the P-256 group (SEC 2 §2.4.2).
const P256_ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\
                                \xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
/// The order of the edwards25519 group, little-endian (RFC 8032 §5.1).
const ED25519_ORDER: [u8; 32] = *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\
                                   \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10";

/// Returns, for each algorithm, a key pair and an account on a server that is configured with its public key only.
fn accounts_and_key_pairs() -> [(Account, KeyPair); 3] {
    KeyPair::generate_all().map(|pair| {
        let settings = TokenSettings { secret: None, public_key: Some(pair.pem.clone()), ..token_settings() };
        (Account::on_server(&Server::shared().with_token_settings(&settings)), pair)
    })
}

fn account_claims(account: &Account) -> Value {
    json!({"account_id": account.id, "exp": timestamp_in(60), "jti": uuid::Uuid::now_v7()})
}

/// Returns the signed message and the signature of a valid token.
fn message_and_signature(account: &Account, pair: &KeyPair) -> (String, Vec<u8>) {
    let token = pair.sign(None, &account_claims(account));
    let (message, signature) = token.rsplit_once('.').unwrap();
    (message.to_owned(), BASE64.decode(signature).unwrap())
}

/// Subtracts two 32-byte big-endian numbers, modulo 2^256.
fn subtract_big_endian(minuend: &[u8], subtrahend: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let pairs = minuend.iter().zip(subtrahend).rev();
    let digits = pairs.map(|(minuend, subtrahend)| {
        let digit = i16::from(*minuend) - i16::from(*subtrahend) - borrow;
        borrow = i16::from(digit < 0);
        u8::try_from(digit.rem_euclid(256)).unwrap()
    });
    let mut digits: Vec<_> = digits.collect();
    digits.reverse();
    digits
}

/// Adds two 32-byte little-endian numbers, modulo 2^256.
fn add_little_endian(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let digits = one.iter().zip(other).map(|(one, other)| {
        let digit = u16::from(*one) + u16::from(*other) + carry;
        carry = digit >> 8;
        u8::try_from(digit & 0xff).unwrap()
    });
    digits.collect()
}

#[tokio::test]
async fn public_key_is_not_accepted_as_an_hmac_secret() {
    for (account, pair) in accounts_and_key_pairs() {
        get_with_token(&account, &pair.sign(None, &account_claims(&account))).await.expect(200);
        let der = pair.pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let jwk = pair.jwk("k1");
        let mut keys = vec![
            pair.pem.clone().into_bytes(),
            pair.pem.trim_end().as_bytes().to_vec(),
            pair.pem.replace('\n', "\r\n").into_bytes(),
            der.clone().into_bytes(),
            STANDARD.decode(&der).unwrap(),
            jwk.to_string().into_bytes(),
            vec![],
        ];
        for number in ["n", "x", "y"].iter().filter_map(|name| jwk[name].as_str()) {
            keys.extend([number.as_bytes().to_vec(), BASE64.decode(number).unwrap()]);
        }
        for key in keys {
            for header in
                [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": "k1"}), json!({"alg": pair.algorithm})]
            {
                let message = format!(
                    "{}.{}",
                    BASE64.encode(header.to_string()),
                    BASE64.encode(account_claims(&account).to_string())
                );
                expect_invalid_token(
                    &account,
                    &sign_message(&key, &message),
                    &format!("{header} by {:?}", pair.algorithm),
                )
                .await;
            }
        }
    }
}

#[tokio::test]
async fn signature_of_another_algorithm_is_401() {
    for (account, pair) in accounts_and_key_pairs() {
        let (message, signature) = message_and_signature(&account, &pair);
        let (_, body) = message.split_once('.').unwrap();
        for alg in
            ["none", "HS256", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
        {
            if json!(pair.algorithm) != alg {
                let header = BASE64.encode(json!({"alg": alg}).to_string());
                let token = format!("{header}.{body}.{}", BASE64.encode(&signature));
                expect_invalid_token(&account, &token, &format!("{alg} instead of {:?}", pair.algorithm)).await;
            }
        }
    }
    let [.., (account, rsa)] = accounts_and_key_pairs();
    // These signatures are correct and made with the same key, but by another RSA algorithm.
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512] {
        let token = rsa.sign_with(&Header::new(algorithm), &account_claims(&account));
        expect_invalid_token(&account, &token, &format!("{algorithm:?}")).await;
    }
}

#[tokio::test]
async fn damaged_shortened_or_extended_signature_is_401() {
    for (account, pair) in accounts_and_key_pairs() {
        let (message, signature) = message_and_signature(&account, &pair);
        let length = signature.len();
        let mut flipped = signature.clone();
        flipped[length / 2] ^= 1;
        for (name, bytes) in [
            ("nothing", vec![]),
            ("zeros", vec![0; length]),
            ("ones", vec![0xff; length]),
            ("one bit", flipped),
            ("one byte less", signature[..length - 1].to_vec()),
            ("one byte more", [&signature[..], &[0]].concat()),
            ("a zero before it", [&[0], &signature[..]].concat()),
            ("twice", signature.repeat(2)),
            ("the first half", signature[..length / 2].to_vec()),
            ("the halves exchanged", [&signature[length / 2..], &signature[..length / 2]].concat()),
        ] {
            let token = format!("{message}.{}", BASE64.encode(bytes));
            expect_invalid_token(&account, &token, &format!("{name}, {:?}", pair.algorithm)).await;
        }
    }
}

#[tokio::test]
async fn degenerate_or_noncanonical_signature_values_are_401() {
    let [(ed_account, ed), (ec_account, ec), _] = accounts_and_key_pairs();
    let (message, signature) = message_and_signature(&ec_account, &ec);
    let (r, s) = signature.split_at(32);
    let one = [&[0; 31][..], &[1]].concat();
    let add_order = |number: &[u8]| subtract_big_endian(number, &subtract_big_endian(&[0; 32], &P256_ORDER));
    for (name, r, s) in [
        ("r = s = 0", vec![0; 32], vec![0; 32]),
        ("r = 0", vec![0; 32], s.to_vec()),
        ("s = 0", r.to_vec(), vec![0; 32]),
        ("r = s = n", P256_ORDER.to_vec(), P256_ORDER.to_vec()),
        ("r = 1, s = n", one.clone(), P256_ORDER.to_vec()),
        ("r = s = 1", one.clone(), one),
        ("r + n", add_order(r), s.to_vec()),
    ] {
        expect_invalid_token(&ec_account, &format!("{message}.{}", BASE64.encode([r, s].concat())), name).await;
    }
    // The DER encoding that other libraries use (RFC 3279 §2.2.3). A JWT needs the 64 bytes of r and s.
    let integer = |number: &[u8]| {
        let sign: &[u8] = if number[0] > 0x7f { &[0] } else { &[] };
        [&[2, u8::try_from(number.len() + sign.len()).unwrap()], sign, number].concat()
    };
    let integers = [integer(r), integer(s)].concat();
    let der = [&[0x30, u8::try_from(integers.len()).unwrap()], &*integers].concat();
    expect_invalid_token(&ec_account, &format!("{message}.{}", BASE64.encode(der)), "DER").await;
    // Every ECDSA signature (r, s) has a second valid form (r, n - s), which RFC 7518 does not forbid. It is accepted:
    // it signs the same claims, and the only thing that the service stores by the text of a token is that it is valid.
    let second_form = format!("{message}.{}", BASE64.encode([r, &subtract_big_endian(&P256_ORDER, s)].concat()));
    get_with_token(&ec_account, &second_form).await.expect(200);

    let (message, signature) = message_and_signature(&ed_account, &ed);
    let (r, s) = signature.split_at(32);
    expect_invalid_token(
        &ed_account,
        &format!("{message}.{}", BASE64.encode([r, &add_little_endian(s, &ED25519_ORDER)].concat())),
        "s + l",
    )
    .await;
    // Points of small order (RFC 8032 §8.9). With s = 0 they pass a verifier that does not check for them.
    for point in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ] {
        let bytes = (0..32).map(|index| u8::from_str_radix(&point[index * 2..][..2], 16).unwrap());
        let signature: Vec<_> = bytes.chain([0; 32]).collect();
        expect_invalid_token(&ed_account, &format!("{message}.{}", BASE64.encode(signature)), point).await;
    }
}
