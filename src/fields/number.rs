//! A decimal number without loss of precision.

use std::fmt;

use serde::{Serialize, Serializer};

/// A number in canonical form, so that equal decimals are equal values. Signed and unsigned 64-bit integers are
/// integers. Any other number is a double, and is accepted only if it equals the shortest decimal of that double.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer from −2⁶³ to 2⁶⁴ − 1.
    Integer(i128),
    /// Any other number: finite, and not an integer within the range of `Integer`.
    Double(f64),
}

impl Eq for Number {}

impl Number {
    /// Parses a JSON number. Returns `None` if it is neither a 64-bit integer nor the shortest decimal of a double.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Self> {
        let sent = Decimal::parse(digits)?;
        if let Some(integer) = sent.to_integer() {
            return Some(Self::Integer(integer));
        }
        let double: f64 = digits.parse().ok()?;
        let is_exact = double.is_finite() && Decimal::parse(&shortest_decimal(double))? == sent;
        is_exact.then_some(Self::Double(double))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(formatter),
            Self::Double(double) => formatter.write_str(&shortest_decimal(*double)),
        }
    }
}

/// Returns the shortest decimal that parses as this double. If two decimals are equally short and equally near,
/// returns the decimal with the even last digit, as JavaScript, Python and Java do. (The formatting of Rust's standard
/// library returns the other decimal.)
fn shortest_decimal(double: f64) -> String {
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

/// A decimal as `±digits × 10^exponent`. `digits` neither starts nor ends with a zero, so each decimal has one form.
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
        let all_digits = format!("{whole}{fraction}");
        let digits = all_digits.trim_start_matches('0').trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        // An exponent of more than 32 bits is out of range for a double, whatever the mantissa: a request has too few
        // digits to compensate for it.
        let exponent = i64::from(exponent.parse::<i32>().ok()?);
        let trailing_zeros = all_digits.len() - all_digits.trim_end_matches('0').len();
        let shift = i64::try_from(trailing_zeros).ok()? - i64::try_from(fraction.len()).ok()?;
        Some(Self { negative, digits: digits.to_owned(), exponent: exponent + shift })
    }

    /// Returns the decimal as an integer, if it is an integer of up to 64 bits.
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

    fn reformat(digits: &str) -> Option<String> {
        Number::parse(digits).map(|number| serde_json::to_string(&number).expect("numbers serialize"))
    }

    #[test]
    fn integers_of_up_to_64_bits_stay_integers() {
        for (sent, returned) in [
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
            assert_eq!(reformat(sent).as_deref(), Some(returned), "{sent}");
        }
    }

    #[test]
    fn shortest_decimals_of_doubles_are_accepted() {
        for (sent, same) in [
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
            assert_eq!(Some(value), Number::parse(same), "{sent}");
            assert_eq!(reformat(sent).and_then(|text| Number::parse(&text)), Some(value), "{sent}");
        }
    }

    #[test]
    fn numbers_that_would_lose_precision_are_rejected() {
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

    proptest! {
        #![proptest_config(crate::test_seed::proptest_config())]

        #[test]
        fn every_double_and_integer_survives_a_round_trip(double in prop::num::f64::NORMAL, integer in any::<i64>()) {
            let shortest = serde_json::to_string(&double).expect("doubles serialize");
            let number = Number::parse(&shortest).expect("a shortest decimal is accepted");
            prop_assert_eq!(Number::parse(&serde_json::to_string(&number).expect("numbers serialize")), Some(number));
            prop_assert_eq!(Number::parse(&integer.to_string()), Some(Number::Integer(i128::from(integer))));
        }

        #[test]
        fn parsing_a_number_never_panics(digits in r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,20})?") {
            let _ = Number::parse(&digits);
        }
    }
}
