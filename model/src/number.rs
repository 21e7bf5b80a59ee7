//! Numbers of JSON, which have as many digits as somebody has written, and what holds them.

use serde_json::Number;

/// Whether it is written as a whole number, without a point and an exponent.
pub fn is_whole(number: &Number) -> bool {
    !number.as_str().contains(['.', 'e', 'E'])
}

/// The double that is this very number: no digit of it is lost.
pub fn exact_double(number: &Number) -> Option<f64> {
    let double = number.as_str().parse::<f64>().ok().filter(|double| double.is_finite())?;
    (significant(number.as_str()) == significant(&format!("{double:e}"))).then_some(double)
}

/// The digits of a number without the zeros around them: a text and its own double, which are near each other, differ in nothing
/// else.
fn significant(text: &str) -> String {
    let digits: String = text.chars().take_while(|c| !matches!(c, 'e' | 'E')).filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_is_the_number_or_none() {
        let number = |text: &str| text.parse::<Number>().unwrap();
        for (text, double) in [
            ("0", 0.0),
            ("-0.50", -0.5),
            ("1e22", 1e22),
            ("100.0", 100.0),
            ("0.1", 0.1),
            ("0e5", 0.0),
            ("5e-324", 5e-324),
        ] {
            assert_eq!(exact_double(&number(text)), Some(double), "{text}");
        }
        for text in ["9007199254740993", "1e400", "1e-400", "0.33333333333333333333", "12345678901234567.89"] {
            assert_eq!(exact_double(&number(text)), None, "{text}");
        }
        assert!(is_whole(&number("-12")) && !is_whole(&number("1e2")) && !is_whole(&number("1.0")));
    }
}
