//! What a signature may try, where the key that verifies is public: everyone has it, and nobody may sign with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contacts::config::TokenSettings;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use super::{BASE64, by, expect_refused, signed_by};
use crate::samples::KeyPair;
use crate::support::{Account, Server, in_seconds, tokens};

/// The order of P-256's group (SEC 2 §2.4.2).
const P256_ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\
                                \xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
/// The order of edwards25519's group, least byte first (RFC 8032 §5.1).
const ED25519_ORDER: [u8; 32] = *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\
                                   \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10";

/// A caller of a server that knows one public key and no secret, and the pair of that key.
fn callers() -> [(Account, KeyPair); 3] {
    KeyPair::of_each_algorithm().map(|pair| {
        let settings = TokenSettings { secret: None, public_key: Some(pair.pem.clone()), ..tokens() };
        (Account::on(&Server::shared().with_tokens(&settings)), pair)
    })
}

fn claims(account: &Account) -> Value {
    json!({"account_id": account.id, "exp": in_seconds(60), "jti": uuid::Uuid::now_v7()})
}

/// A good token: what was signed, and the signature.
fn parts(account: &Account, pair: &KeyPair) -> (String, Vec<u8>) {
    let token = pair.sign(None, &claims(account));
    let (message, signature) = token.rsplit_once('.').unwrap();
    (message.to_owned(), BASE64.decode(signature).unwrap())
}

/// Of two numbers of 32 bytes, the highest first.
fn difference(from: &[u8], less: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let pairs = from.iter().zip(less).rev();
    let digits = pairs.map(|(from, less)| {
        let digit = i16::from(*from) - i16::from(*less) - borrow;
        borrow = i16::from(digit < 0);
        u8::try_from(digit.rem_euclid(256)).unwrap()
    });
    let mut digits: Vec<_> = digits.collect();
    digits.reverse();
    digits
}

/// Of two numbers of 32 bytes, the lowest first.
fn sum(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let digits = one.iter().zip(other).map(|(one, other)| {
        let digit = u16::from(*one) + u16::from(*other) + carry;
        carry = digit >> 8;
        u8::try_from(digit & 0xff).unwrap()
    });
    digits.collect()
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    for (account, pair) in callers() {
        by(&account, &pair.sign(None, &claims(&account))).await.expect(200);
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
                let message =
                    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims(&account).to_string()));
                expect_refused(&account, &signed_by(&key, &message), &format!("{header} by {:?}", pair.algorithm))
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn a_signature_is_of_the_keys_own_algorithm() {
    for (account, pair) in callers() {
        let (message, signature) = parts(&account, &pair);
        let (_, body) = message.split_once('.').unwrap();
        for alg in
            ["none", "HS256", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
        {
            if json!(pair.algorithm) != alg {
                let header = BASE64.encode(json!({"alg": alg}).to_string());
                let token = format!("{header}.{body}.{}", BASE64.encode(&signature));
                expect_refused(&account, &token, &format!("{alg} instead of {:?}", pair.algorithm)).await;
            }
        }
    }
    let [.., (account, rsa)] = callers();
    // These are well signed, by the same key in another way.
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512] {
        let token = rsa.sign_with(&Header::new(algorithm), &claims(&account));
        expect_refused(&account, &token, &format!("{algorithm:?}")).await;
    }
}

#[tokio::test]
async fn a_signature_has_its_length_and_is_not_empty_of_meaning() {
    for (account, pair) in callers() {
        let (message, signature) = parts(&account, &pair);
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
            expect_refused(&account, &token, &format!("{name}, {:?}", pair.algorithm)).await;
        }
    }
}

#[tokio::test]
async fn numbers_that_would_verify_everything_verify_nothing() {
    let [(ed_account, ed), (ec_account, ec), _] = callers();
    let (message, signature) = parts(&ec_account, &ec);
    let (r, s) = signature.split_at(32);
    let one = [&[0; 31][..], &[1]].concat();
    let above = |number: &[u8]| difference(number, &difference(&[0; 32], &P256_ORDER));
    for (name, r, s) in [
        ("r = s = 0", vec![0; 32], vec![0; 32]),
        ("r = 0", vec![0; 32], s.to_vec()),
        ("s = 0", r.to_vec(), vec![0; 32]),
        ("r = s = n", P256_ORDER.to_vec(), P256_ORDER.to_vec()),
        ("r = 1, s = n", one.clone(), P256_ORDER.to_vec()),
        ("r = s = 1", one.clone(), one),
        ("r + n", above(r), s.to_vec()),
    ] {
        expect_refused(&ec_account, &format!("{message}.{}", BASE64.encode([r, s].concat())), name).await;
    }
    // As other libraries write it (RFC 3279 §2.2.3).
    let integer = |number: &[u8]| {
        let sign: &[u8] = if number[0] > 0x7f { &[0] } else { &[] };
        [&[2, u8::try_from(number.len() + sign.len()).unwrap()], sign, number].concat()
    };
    let integers = [integer(r), integer(s)].concat();
    let der = [&[0x30, u8::try_from(integers.len()).unwrap()], &*integers].concat();
    expect_refused(&ec_account, &format!("{message}.{}", BASE64.encode(der)), "DER").await;
    // Of each signature there is a second one that RFC 7518 does not forbid. It says the same of the same claims, and
    // nothing here is kept by the text of a token but that it is good.
    let other = format!("{message}.{}", BASE64.encode([r, &difference(&P256_ORDER, s)].concat()));
    by(&ec_account, &other).await.expect(200);

    let (message, signature) = parts(&ed_account, &ed);
    let (r, s) = signature.split_at(32);
    expect_refused(
        &ed_account,
        &format!("{message}.{}", BASE64.encode([r, &sum(s, &ED25519_ORDER)].concat())),
        "s + l",
    )
    .await;
    // Points of small order (RFC 8032 §8.9 tells of them): with s = 0 they verify where nobody looks.
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
        expect_refused(&ed_account, &format!("{message}.{}", BASE64.encode(signature)), point).await;
    }
}
