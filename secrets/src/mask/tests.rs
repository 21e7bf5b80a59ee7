use proptest::prelude::*;

use super::*;

fn masker(secret: &str) -> Masker {
    let masker = Masker::default();
    masker.learn(&SecretText::new(secret));
    masker
}

/// What a shell or a language makes of a secret, written by hand: the real tools have been asked.
const WRITTEN: [(&str, &str, &str); 17] = [
    ("python json.dumps", "gehe\u{ef}m/\"1\"", r#"gehe\u00efm/\"1\""#),
    ("php json_encode", "se/cret", r"se\/cret"),
    ("python repr", "it's so", r"it\'s so"),
    ("python quote", "a b/c?d=é", "a%20b/c%3Fd%3D%C3%A9"),
    ("python quote_plus", "a b/c~d", "a+b%2Fc~d"),
    ("java URLEncoder", "a b*c~d/", "a+b*c%7Ed%2F"),
    ("encodeURIComponent", "p!a'(b) &", "p!a'(b)%20%26"),
    ("lower case hex", "p@ss/word", "p%40ss%2fword"),
    ("URL user info", "p@ss:word", "p%40ss%3Aword"),
    ("base64", "hunter2!", "aHVudGVyMiE="),
    ("base64 of user:secret", "hunter2!", "YWRhOmh1bnRlcjIh"),
    ("base64 inside longer text", "hunter2!", "PmFodW50ZXIyITw8"),
    ("base64 for URLs", "~~~???>>>", "fn5-Pz8_Pj4-"),
    ("shlex.quote", "don't tell", r#"'don'"'"'t tell'"#),
    ("printf %q", "pa $ss'w", r"pa\ \$ss\'w"),
    ("xxd", "hunter2", "68756e74657232"),
    ("html", "a<b>&'c'", "a&lt;b&gt;&amp;&#39;c&#39;"),
];

#[test]
fn a_secret_is_hidden_however_programs_write_it() {
    for (how, secret, written) in WRITTEN {
        let masked = masker(secret).mask(written).into_owned();
        assert!(masked.contains(MASK), "{how}: {written} became {masked}");
        // A few characters may stay at either end, where they belong to the neighbours: quotes and base64.
        assert!(masked.len() <= MASK.len() + 8, "{how}: {written} became {masked}");
    }
}

proptest! {
    #[test]
    fn no_secret_stays_in_any_form(
        secret in "[ -~éß漢]{6,24}", before in "[ -~]{0,12}", after in "[ -~]{0,12}", kind in 0..8,
    ) {
        let secret = secret.trim();
        prop_assume!(secret.chars().count() >= SECRET_CHARACTERS_MIN);
        use base64::Engine;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let masker = masker(secret);
        let raw = format!("{before}{secret}{after}");
        let text = match kind {
            0 => raw,
            1 => serde_json::json!({ "k": raw }).to_string(),
            2 => percent_encoding::utf8_percent_encode(&raw, percent_encoding::NON_ALPHANUMERIC).to_string(),
            3 => format!("{before}'{}'", secret.replace('\'', "'\\''")),
            4 => flow_model::dag::hex(raw.as_bytes()),
            5 => STANDARD.encode(&raw),
            6 => URL_SAFE_NO_PAD.encode(&raw),
            _ => format!("{raw:?}"),
        };
        let masked = masker.mask(&text).into_owned();
        prop_assert!(masked.contains(MASK), "{} stayed {}", text, masked);
        prop_assert!(!masked.contains(secret) || MASK.contains(secret));
        prop_assert!(masker.finds(&text));
        let again = masker.mask(&masked).into_owned();
        prop_assert_eq!(&again, &masked);
    }

    #[test]
    fn a_cut_leaves_no_beginning_of_a_secret(secret in "[a-z0-9]{8,20}", before in "[ A-Z]{0,10}", cut in 3_usize..8) {
        let masked = masker(&secret).mask_cut(&format!("{before}{}", &secret[..cut])).into_owned();
        prop_assert_eq!(masked, format!("{before}{MASK}"));
    }

    #[test]
    fn other_text_stays_as_it_is(text in "[A-Z ]{0,40}") {
        let masker = masker("hunter2!");
        prop_assert_eq!(masker.mask(&text), text.as_str());
        prop_assert_eq!(masker.mask_cut(&text), text.as_str());
    }
}

#[test]
fn lines_of_a_secret_are_hidden_one_by_one() {
    let masker = masker("-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n}\n");
    assert_eq!(masker.mask("key: MIIEvQIBADANBg"), "key: ***");
    assert_eq!(masker.mask("kqhkiG9w0BAQEF"), "***");
    assert_eq!(masker.mask("}"), "}");
}

#[test]
fn short_values_are_not_hidden_and_neighbours_leave_nothing() {
    assert_eq!(masker("12345").mask("12345 is short"), "12345 is short");
    assert_eq!(masker("abcabc").mask("abcabcabcabc abcabc"), "*** ***");
}

#[test]
fn json_is_masked_in_its_texts() {
    let masker = masker("12345678");
    let value = serde_json::json!({ "a": ["x 12345678"], "12345678": true, "n": 12345678, "other": 1.5 });
    assert!(masker.finds_in(&value));
    assert_eq!(masker.mask_json(value), serde_json::json!({ "a": ["x ***"], "***": true, "n": "***", "other": 1.5 }));
}

#[test]
fn tokens_of_known_services_are_hidden_without_being_told() {
    let masker = Masker::default();
    for token in [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "glpat-abcdefghij0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    ] {
        assert_eq!(masker.mask(&format!("key={token}, rest")), "key=***, rest");
    }
    assert_eq!(masker.mask("AKIA and ghp_ are beginnings"), "AKIA and ghp_ are beginnings");
}

#[test]
fn no_line_of_base64_stays() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let secret: String = (0..200_u32).map(|n| char::from_u32(0x21 + n * 7 % 90).unwrap()).collect();
    let written = STANDARD.encode(format!("{secret}\n"));
    let masker = masker(&secret);
    for line in [76, 64] {
        for text in written.as_bytes().chunks(line).map(|line| String::from_utf8_lossy(line).into_owned()) {
            let masked = masker.mask(&text).into_owned();
            assert!(masked.len() <= MASK.len() + 4, "{text} became {masked}");
        }
    }
}
