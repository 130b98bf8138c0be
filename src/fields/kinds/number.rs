//! `number`: a decimal that is kept exactly, or refused.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Parsed;
use crate::fields::{IssueCode, Refusal, Value};
use crate::json::Json;

/// A number in canonical form, so that equal decimals are equal values: an integer when it is one of up to
/// 64 bits (signed or unsigned), else the double whose shortest decimal it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer from −2⁶³ to 2⁶⁴ − 1.
    Integer(i128),
    /// Any other number. Finite, never integral within the range of `Integer`.
    Double(f64),
}

impl Eq for Number {}

impl Number {
    /// Reads a JSON number. `None` when neither a 64-bit integer nor a double holds it exactly.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Self> {
        let sent = Decimal::parse(digits)?;
        if let Some(integer) = sent.to_integer() {
            return Some(Self::Integer(integer));
        }
        let double: f64 = digits.parse().ok()?;
        let is_exact = double.is_finite() && Decimal::parse(&shortest(double))? == sent;
        is_exact.then_some(Self::Double(double))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(formatter),
            Self::Double(double) => formatter.write_str(&shortest(*double)),
        }
    }
}

/// The shortest decimal that reads back as this double; of two as short and as near the even one, as JavaScript,
/// Python and Java write it. (Rust's own formatting takes the other.)
fn shortest(double: f64) -> String {
    serde_json::to_string(&double).unwrap_or_default()
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Integer(integer) => match u64::try_from(integer) {
                Ok(unsigned) => serializer.serialize_u64(unsigned),
                Err(_) => serializer.serialize_i64(i64::try_from(integer).unwrap_or(i64::MIN)),
            },
            Self::Double(double) => serializer.serialize_f64(double),
        }
    }
}

pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    let Json::Number(digits) = json else {
        return Err(Refusal::new(IssueCode::InvalidType, "must be a number, or null to clear it"));
    };
    let number = Number::parse(digits).ok_or_else(|| {
        let message = "must be an integer of up to 64 bits, or a decimal that a double holds exactly";
        Refusal::new(IssueCode::OutOfRange, message)
    })?;
    Ok(Some(Value::Number(number)))
}

/// `±digits × 10^exponent`, with no zero at either end of `digits`: one form for each decimal.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0').trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        // An exponent beyond 32 bits fits no double, whatever the mantissa: a request holds too few digits.
        let exponent = i64::from(exponent.parse::<i32>().ok()?);
        let trailing_zeros = all.len() - all.trim_end_matches('0').len();
        let shift = i64::try_from(trailing_zeros).ok()? - i64::try_from(fraction.len()).ok()?;
        Some(Self { negative, digits: digits.to_owned(), exponent: exponent + shift })
    }

    /// The integer this is, when it is one of up to 64 bits.
    fn to_integer(&self) -> Option<i128> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = usize::try_from(self.exponent).ok().filter(|zeros| zeros + self.digits.len() <= 20)?;
        let magnitude: i128 = format!("{}{}", self.digits, "0".repeat(zeros)).parse().ok()?;
        let integer = if self.negative { -magnitude } else { magnitude };
        (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&integer).then_some(integer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(digits: &str) -> Option<String> {
        Number::parse(digits).map(|number| serde_json::to_string(&number).expect("serializes"))
    }

    #[test]
    fn keeps_integers_of_64_bits_as_integers() {
        for (sent, kept) in [
            ("42", "42"),
            ("-0", "0"),
            ("0.000", "0"),
            ("0e99999999999", "0"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("12.5e1", "125"),
            ("9007199254740993", "9007199254740993"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(rendered(sent).as_deref(), Some(kept), "{sent}");
        }
    }

    #[test]
    fn keeps_other_numbers_that_are_shortest_doubles() {
        for (sent, kept) in [
            ("0.1", "0.1"),
            ("-2.50", "-2.5"),
            ("1E-7", "1e-7"),
            ("1e22", "1e22"),
            ("100000000000000000000", "1e20"),
            ("261294883993963.62", "261294883993963.62"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e308"),
        ] {
            let value = Number::parse(sent).expect(sent);
            assert_eq!(Some(value), Number::parse(kept), "{sent}");
            assert_eq!(rendered(sent).and_then(|text| Number::parse(&text)), Some(value), "{sent}");
        }
    }

    #[test]
    fn refuses_what_it_can_not_keep_exactly() {
        for sent in [
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "0.1000000000000000055511151231257827",
            "3.14159265358979323846",
            "1e400",
            "-1e400",
            "1e-400",
            "1e99999999999999999999",
        ] {
            assert_eq!(Number::parse(sent), None, "{sent}");
        }
    }

    #[test]
    fn takes_numbers_only() {
        for other in [Json::String("42".into()), Json::String("".into()), Json::Bool(true), Json::Array(vec![])] {
            assert_eq!(parse(&other).expect_err("no number").code, IssueCode::InvalidType);
        }
    }

    proptest! {
        #[test]
        fn every_double_and_integer_survives(double in prop::num::f64::NORMAL, integer in any::<i64>()) {
            let number = Number::parse(&serde_json::to_string(&double).expect("serializes")).expect("a shortest decimal");
            prop_assert_eq!(Number::parse(&serde_json::to_string(&number).expect("serializes")), Some(number));
            prop_assert_eq!(Number::parse(&integer.to_string()), Some(Number::Integer(i128::from(integer))));
        }

        #[test]
        fn never_panics(digits in r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,20})?") {
            let _ = Number::parse(&digits);
        }
    }
}
