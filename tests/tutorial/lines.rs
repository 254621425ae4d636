// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what was printed is what the page shows. In it, `…` stands for any
//! text, and on a line of its own for any number of lines.

const ANY: &str = "…";

/// All lines, in this order.
pub(crate) fn in_order(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == ANY => {
            (0..=printed.len()).any(|skipped| in_order(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| matches(first, line) && in_order(rest, others)),
    }
}

/// All lines, in any order: two programs print them at the same time.
pub(crate) fn in_any_order(shown: &[String], printed: &[String]) -> bool {
    let mut left: Vec<&String> = printed.iter().collect();
    for pattern in shown.iter().filter(|pattern| *pattern != ANY) {
        match left.iter().position(|line| matches(pattern, line)) {
            Some(at) => drop(left.remove(at)),
            None => return false,
        }
    }
    left.is_empty() || shown.iter().any(|pattern| pattern == ANY)
}

/// One line.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split(ANY);
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split_terminator('\n').map(str::to_owned).collect()
    }

    #[test]
    fn a_gap_is_any_text() {
        for (pattern, line, wanted) in [
            ("posted 3", "posted 3", true),
            ("posted 3", "posted 30", false),
            ("posted 3", "not posted 3", false),
            ("pid:… [1/2]", "pid:17 [1/2]", true),
            ("pid:… [1/2]", "pid:17 [1/2] more", false),
            ("a … b … c", "a 1 b 2 c", true),
            ("a … b … c", "a 1 c 2 b", false),
            ("ab…ba", "aba", false),
            ("…", "", true),
            ("", "text", false),
        ] {
            assert_eq!(matches(pattern, line), wanted, "{pattern:?} {line:?}");
        }
    }

    #[test]
    fn nothing_may_be_missing_and_nothing_too_much() {
        let printed = lines("one\ntwo\nthree\n");
        for (shown, ordered, unordered) in [
            ("one\ntwo\nthree\n", true, true),
            ("one\n…\nthree\n", true, true),
            ("…\n", true, true),
            ("…\ntwo\nthree\n", true, true),
            ("three\none\ntwo\n", false, true),
            ("one\ntwo\n", false, false),
            ("one\ntwo\nthree\nfour\n", false, false),
            ("one\none\nthree\n", false, false),
            ("two\n…\n", false, true),
            ("", false, false),
        ] {
            let shown = lines(shown);
            assert_eq!(in_order(&shown, &printed), ordered, "{shown:?}");
            assert_eq!(in_any_order(&shown, &printed), unordered, "{shown:?}");
        }
        assert!(in_order(&[], &[]) && in_any_order(&[], &[]));
    }
}
