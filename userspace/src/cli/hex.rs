// SPDX-License-Identifier: MIT OR Apache-2.0
//! Payloads and numbers as people write them.

use std::fmt::Write as _;

use evq::uapi::DATA_MAX;

/// `deadbeef`.
pub(super) fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Bytes as a hex dump has them beside the digits: a dot for what is not printable.
pub(super) fn ascii(bytes: &[u8]) -> String {
    let printable = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    };
    bytes.iter().map(printable).collect()
}

/// What is wrong with a text, and where in it (in characters, from 0).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) what: String,
}

/// Pairs of hex digits, at most a payload of them.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Wrong> {
    let digits = text.chars().enumerate().map(|(at, c)| {
        let wrong = || Wrong {
            at,
            what: format!("{c:?} is not a hex digit"),
        };
        c.to_digit(16).ok_or_else(wrong).map(|digit| digit as u8)
    });
    let digits: Vec<u8> = digits.collect::<Result<_, _>>()?;
    if digits.len() % 2 != 0 {
        let what = format!("{} hex digits: bytes have two each", digits.len());
        return Err(Wrong {
            at: digits.len(),
            what,
        });
    }
    if digits.len() > 2 * DATA_MAX {
        let what = format!(
            "{} bytes: an event holds at most {DATA_MAX}",
            digits.len() / 2
        );
        return Err(Wrong {
            at: 2 * DATA_MAX,
            what,
        });
    }
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect())
}

/// A number as every option and every file has it: decimal, or hex with 0x.
pub(super) fn unsigned(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // from_str_radix would take a sign.
    let digits = Some(digits).filter(|digits| !digits.starts_with('+'))?;
    u64::from_str_radix(digits, radix).ok()
}

/// A 16-bit number.
pub(super) fn number(text: &str) -> Result<u16, Wrong> {
    let number = unsigned(text).and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| Wrong {
        at: 0,
        what: format!("{text:?} is not a number from 0 to 65535 (decimal, or hex with 0x)"),
    })
}

/// For an option: a number from `LEAST` to `MOST`.
pub(super) fn within<T: TryFrom<u64>, const LEAST: u64, const MOST: u64>(
    text: &str,
) -> Result<T, String> {
    let number = unsigned(text).filter(|number| (LEAST..=MOST).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| match MOST {
        u64::MAX => format!("give a number from {LEAST} on (decimal, or hex with 0x)"),
        _ => format!("give a number from {LEAST} to {MOST} (decimal, or hex with 0x)"),
    })
}

/// For an option: a number from `LEAST` on.
pub(super) fn at_least<const LEAST: u64>(text: &str) -> Result<u64, String> {
    within::<u64, LEAST, { u64::MAX }>(text)
}

#[cfg(test)]
mod tests {
    use super::{ascii, at_least, decode, encode, number, unsigned};

    #[test]
    fn payloads_go_both_ways() {
        assert_eq!(decode("00fFa5").unwrap(), [0x00, 0xff, 0xa5]);
        assert_eq!(encode(&[0x00, 0xff, 0xa5]), "00ffa5");
        assert_eq!(ascii(b"ding\x1b dong~\x7f\xff"), "ding. dong~..");
        assert!(decode("").unwrap().is_empty());
        assert_eq!(decode(&"00".repeat(32)).unwrap().len(), 32);
    }

    #[test]
    fn bad_payloads_say_where() {
        assert_eq!(decode("12g4").unwrap_err().at, 2);
        assert_eq!(decode("123").unwrap_err().at, 3);
        assert_eq!(decode(&"00".repeat(33)).unwrap_err().at, 64);
        assert_eq!(decode("1é").unwrap_err().at, 1);
    }

    #[test]
    fn numbers() {
        assert_eq!(number("65535"), Ok(65535));
        assert_eq!(number("0x1F"), Ok(31));
        for bad in ["65536", "-1", "+1", "0x", "0x+1", "", "1 "] {
            assert!(number(bad).is_err(), "{bad:?}");
        }
        assert_eq!(unsigned("0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!(unsigned("18446744073709551616"), None);
        assert_eq!(at_least::<1>("0x10"), Ok(16));
        assert!(at_least::<1>("0").unwrap_err().contains("from 1 on"));
    }
}
