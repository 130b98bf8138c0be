//! Tests of the parser, against `serde_json` too.

use proptest::prelude::*;

use super::*;

fn to_serde_json(json: &Json<'_>) -> serde_json::Value {
    match json {
        Json::Null => serde_json::Value::Null,
        Json::Bool(value) => (*value).into(),
        Json::Number(digits) => serde_json::from_str(digits).expect("a number"),
        Json::String(text) => text.as_ref().into(),
        Json::Array(items) => items.iter().map(to_serde_json).collect(),
        Json::Object(members) => members.iter().map(|(name, json)| (name.as_ref(), to_serde_json(json))).collect(),
    }
}

#[test]
fn numbers_keep_their_digits() {
    for digits in ["0", "-0", "1.10", "1e400", "123456789012345678901234567890", "-1.5E-3"] {
        assert_eq!(parse(digits.as_bytes()), Ok(Json::Number(digits)));
    }
}

#[test]
fn strings_and_member_names_are_unescaped() {
    let json = parse(br#"{"a\u0062": "\ud83d\ude00\u0000"}"#).expect("valid JSON");
    assert_eq!(json, Json::Object(vec![("ab".into(), Json::String("😀\0".into()))]));
}

#[test]
fn text_that_is_not_strict_json_is_an_error() {
    let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
    let unclosed = "[".repeat(500_000);
    type Case<'a> = (&'a [u8], fn(&JsonError) -> bool);
    let cases: [Case<'_>; 12] = [
        (b"", |e| *e == JsonError::Empty),
        (b" \n", |e| *e == JsonError::Empty),
        (b"\"\xff\"", |e| *e == JsonError::Encoding),
        (b"{\"a\": 1,}", |e| matches!(e, JsonError::Syntax { line: 1, .. })),
        (b"1 2", |e| matches!(e, JsonError::Syntax { .. })),
        (b"01", |e| matches!(e, JsonError::Syntax { .. })),
        (b"NaN", |e| matches!(e, JsonError::Syntax { .. })),
        (br#""\ud800""#, |e| *e == JsonError::Escape),
        (br#"[{"a": "\udc00x"}]"#, |e| *e == JsonError::Escape),
        (br#"[{"a": 1, "\u0061": 2}]"#, |e| *e == JsonError::DuplicateKey("a".into())),
        (deep.as_bytes(), |e| *e == JsonError::TooDeep),
        (unclosed.as_bytes(), |e| matches!(e, JsonError::Syntax { .. })),
    ];
    for (text, expected) in cases {
        let error = parse(text).expect_err("not strict JSON");
        assert!(expected(&error), "{:?} gave {error:?}", String::from_utf8_lossy(&text[..text.len().min(40)]));
    }
}

#[test]
fn nesting_of_exactly_max_depth_is_valid() {
    let deep = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
    assert!(parse(deep.as_bytes()).is_ok());
}

#[test]
fn values_are_counted_without_keys() {
    for (text, count) in [
        ("1", 1),
        ("\"a,b[\\\"\"", 1),
        (" [ ] ", 1),
        ("{}", 1),
        ("[1, [ ], {}]", 4),
        ("{\"a,\": 1, \"b\" : [\"}\", null ], \"c\":{ \"[\":true}}", 7),
    ] {
        assert_eq!(JsonText::check(text.as_bytes()).expect("valid JSON").value_count, count, "{text}");
    }
    let array = |length: usize| format!("[{}1]", "1,".repeat(length - 1));
    assert!(parse(array(MAX_VALUES - 1).as_bytes()).is_ok());
    assert_eq!(parse(array(MAX_VALUES).as_bytes()), Err(JsonError::TooManyValues));
}

#[test]
fn array_limit_applies_to_one_member_of_the_outermost_object() {
    let limit = Some(ArrayLimit { key: "inputs", max: 2 });
    let parse = |text: &str| JsonText::check(text.as_bytes()).expect("valid JSON").parse(limit).map(|_| ());
    for valid in [r#"{"inputs": [1, 2]}"#, r#"{"inputs": [[1, 2, 3]]}"#, r#"{"a": {"inputs": [1, 2, 3]}}"#, "[1, 2, 3]"]
    {
        assert_eq!(parse(valid), Ok(()), "{valid}");
    }
    assert_eq!(parse(r#"{"a": 1, "inputs" : [1, 2, 3]}"#), Err(JsonError::ArrayTooLong));
}

proptest! {
    #![proptest_config(crate::test_seed::proptest_config())]

    #[test]
    fn serialized_values_parse_to_equal_values(text in r#"[\[\]{}:,"a1\\u\-\.e tfn😀\n]{0,12}"#, depth in 0..6_usize) {
        let mut value = serde_json::json!([text, 1, -2.5e-3, null, {}, []]);
        for _ in 0..depth {
            value = serde_json::json!({"a": [value, true], text.as_str(): text, "b": false});
        }
        for serialized in [value.to_string(), serde_json::to_string_pretty(&value).expect("values serialize")] {
            let json = parse(serialized.as_bytes()).expect("valid JSON");
            prop_assert_eq!(to_serde_json(&json), value.clone());
        }
    }

    #[test]
    fn parse_never_panics_and_agrees_with_serde_json(text in r#"[\[\]{}:,"a1\\u\-\.e tfn]{0,24}"#) {
        let expected: Result<serde_json::Value, _> = serde_json::from_str(&text);
        match parse(text.as_bytes()) {
            Ok(json) if expected.is_ok() => prop_assert_eq!(Some(to_serde_json(&json)), expected.ok(), "{}", text),
            Ok(_) => prop_assert!(expected.is_ok() || text.contains('e') || text.contains('1'), "{text}"),
            Err(JsonError::DuplicateKey(_)) => {}
            Err(_) => prop_assert!(expected.is_err(), "{text}"),
        }
    }
}
