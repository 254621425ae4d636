// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shape of a configuration: which tables there are, and the type of each
//! value. It is checked before the content, so that a common mistake gets an
//! error that shows the right line in place of the parser's words.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::config::Wrong;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    /// A string that is a time with its unit.
    Time,
    Flag,
    Count,
    /// A number from 0 to 65535, a name, or a list of them.
    Numbers,
    /// A list of values of input events.
    Values,
    /// A list of strings.
    Words,
    Position,
}

struct Key {
    table: &'static str,
    name: &'static str,
    type_: Type,
    /// A value, as TOML has it.
    example: &'static str,
}

const fn key(table: &'static str, name: &'static str, type_: Type, example: &'static str) -> Key {
    Key {
        table,
        name,
        type_,
        example,
    }
}

const KEYS: [Key; 21] = [
    key("device", "path", Type::Text, r#""/dev/evq""#),
    key("device", "from", Type::Position, r#""oldest""#),
    key("device", "wait", Type::Flag, "true"),
    key("hooks", "running", Type::Count, "4"),
    key("hooks", "time_limit", Type::Time, r#""10s""#),
    key("hooks", "grace", Type::Time, r#""5s""#),
    key("hooks", "stop", Type::Time, r#""20s""#),
    key(
        "metrics",
        "listen",
        Type::Text,
        r#""unix:/run/evq/metrics.sock""#,
    ),
    key("rule", "name", Type::Text, r#""power""#),
    key("rule", "device", Type::Text, r#""/dev/evq""#),
    key("rule", "source", Type::Text, r#""input""#),
    key("rule", "type", Type::Numbers, r#""EV_KEY""#),
    key("rule", "code", Type::Numbers, r#"["KEY_POWER", 143]"#),
    key("rule", "value", Type::Values, "[1]"),
    key(
        "rule",
        "run",
        Type::Words,
        r#"["/usr/bin/logger", "hello"]"#,
    ),
    key("rule", "time_limit", Type::Time, r#""10s""#),
    key(
        "rule",
        "append",
        Type::Text,
        r#""/var/log/evq/events.jsonl""#,
    ),
    key("rule", "log", Type::Flag, "true"),
    key("rule", "journal", Type::Flag, "true"),
    key("rule", "show_keys", Type::Flag, "true"),
    key("rule", "event", Type::Text, r#""doorbell""#),
];

fn known(table: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.table == table && key.name == name)
}

/// Refuses a text whose values have the wrong types, or that is no TOML.
pub(super) fn check(text: &str) -> Result<(), Wrong> {
    let file = DeTable::parse(text).map_err(|error| {
        let hint = error
            .span()
            .and_then(|span| hint_for_line(text, span.start));
        let message = error.message().to_owned() + &hint.unwrap_or_default();
        (error.span(), message)
    })?;
    for (name, value) in file.get_ref() {
        let name = name.get_ref().as_ref();
        let span = value.span();
        match (name, value.get_ref()) {
            ("device" | "rule", DeValue::Array(tables)) => {
                for table in tables.iter() {
                    let DeValue::Table(inside) = table.get_ref() else {
                        return several(name, &table.span());
                    };
                    check_table(name, inside)?;
                }
            }
            ("device" | "rule", _) => return several(name, &span),
            ("hooks" | "metrics", DeValue::Table(inside)) => check_table(name, inside)?,
            ("hooks" | "metrics", _) => {
                let message = format!(
                    "there is one table {name}; write [{name}] on a line, and its keys on the \
                     lines below"
                );
                return Err((Some(span), message));
            }
            ("decode", value) if !Type::Words.takes(value) => {
                let right = Type::Words.mended(value);
                let right = right.unwrap_or_else(|| r#"["/etc/evq/doorbell.toml"]"#.into());
                let message = format!("decode takes a list of files; write: decode = {right}");
                return Err((Some(span), message));
            }
            // The reader of the content knows which there are.
            _ => {}
        }
    }
    Ok(())
}

fn several<T>(name: &str, span: &Range<usize>) -> Result<T, Wrong> {
    let first = KEYS.iter().find(|key| key.table == name);
    let (key, example) = first.map_or(("", ""), |key| (key.name, key.example));
    let message = format!(
        "there may be several tables {name}; write [[{name}]] on a line, and below it: \
         {key} = {example}"
    );
    Err((Some(span.clone()), message))
}

fn check_table(table: &str, inside: &DeTable<'_>) -> Result<(), Wrong> {
    for (name, value) in inside {
        let Some(key) = known(table, name.get_ref()) else {
            continue;
        };
        if !key.type_.takes(value.get_ref()) {
            let (name, what) = (key.name, key.type_.what());
            let right = key.type_.mended(value.get_ref());
            let right = right.unwrap_or_else(|| key.example.into());
            let message = format!("{name} takes {what}; write: {name} = {right}");
            return Err((Some(value.span()), message));
        }
    }
    Ok(())
}

/// What to write in place of a line that is no TOML, if its key is known.
fn hint_for_line(text: &str, at: usize) -> Option<String> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next()?;
    let name = line
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next()?;
    let table = text[..start].lines().rev().find_map(|line| {
        let name = line.trim().strip_prefix('[')?.trim_start_matches('[');
        Some(name.trim_end_matches(']').trim())
    })?;
    let key = known(table, name)?;
    Some(format!("; write it like this: {name} = {}", key.example))
}

/// What to write for a key that is missing, as the reader of the content puts it.
pub(super) fn hint_for_missing(message: &str) -> Option<String> {
    let name = message.strip_prefix("missing field `")?.strip_suffix('`')?;
    let key = KEYS.iter().find(|key| key.name == name)?;
    Some(format!(
        "{name} is missing in this table; write: {name} = {}",
        key.example
    ))
}

/// A whole number within these bounds.
fn is_within(value: &DeValue<'_>, low: i128, high: i128) -> bool {
    let DeValue::Integer(number) = value else {
        return false;
    };
    i128::from_str_radix(number.as_str(), number.radix())
        .is_ok_and(|number| (low..=high).contains(&number))
}

fn all(value: &DeValue<'_>, holds: impl Fn(&DeValue<'_>) -> bool) -> bool {
    matches!(value, DeValue::Array(list) if list.iter().all(|one| holds(one.get_ref())))
}

impl Type {
    fn takes(self, value: &DeValue<'_>) -> bool {
        let is_text = |value: &DeValue<'_>| matches!(value, DeValue::String(_));
        let is_number = |value: &DeValue<'_>| is_text(value) || is_within(value, 0, 0xffff);
        match self {
            Type::Text | Type::Time => is_text(value),
            Type::Flag => matches!(value, DeValue::Boolean(_)),
            // What a machine can count: the content has the lower bound.
            Type::Count => is_within(value, 0, isize::MAX as i128),
            Type::Numbers => is_number(value) || all(value, is_number),
            Type::Values => all(value, |one| {
                is_within(one, i32::MIN.into(), i32::MAX.into())
            }),
            Type::Words => all(value, is_text),
            Type::Position => is_text(value) || is_within(value, 0, u64::MAX.into()),
        }
    }

    fn what(self) -> &'static str {
        match self {
            Type::Text => "a string",
            Type::Time => "a string: a time with its unit",
            Type::Flag => "true or false, without quotes",
            Type::Count => "a whole number from 1, without quotes",
            Type::Numbers => {
                "a number from 0 to 65535, a name as watch prints it, or a list of them"
            }
            Type::Values => "a list of whole numbers",
            Type::Words => "a list of strings, the program and each of its arguments",
            Type::Position => "\"newest\", \"oldest\", or a sequence number from 1",
        }
    }

    /// What was probably meant.
    fn mended(self, value: &DeValue<'_>) -> Option<String> {
        match (self, value) {
            (Type::Words, DeValue::String(line)) => {
                let words: Vec<&str> = line.split_whitespace().collect();
                (!words.is_empty()).then(|| format!("{words:?}"))
            }
            (Type::Words, DeValue::Array(list)) => {
                let words: Option<Vec<String>> =
                    list.iter().map(|one| plain(one.get_ref())).collect();
                words.map(|words| format!("{words:?}"))
            }
            (Type::Time, DeValue::Integer(seconds)) => Some(format!("\"{seconds}s\"")),
            (Type::Text, DeValue::Array(list)) => match list.iter().collect::<Vec<_>>()[..] {
                [one] => plain(one.get_ref()).map(|text| format!("{text:?}")),
                _ => None,
            },
            (Type::Text, value) => plain(value).map(|text| format!("{text:?}")),
            (Type::Flag, value) => match plain(value)?.as_str() {
                "true" | "yes" | "on" | "1" => Some("true".into()),
                "false" | "no" | "off" | "0" => Some("false".into()),
                _ => None,
            },
            (Type::Count, DeValue::String(text)) => {
                text.parse().ok().map(|count: u32| count.to_string())
            }
            (Type::Values, value) => {
                let value: i32 = plain(value)?.parse().ok()?;
                Some(format!("[{value}]"))
            }
            _ => None,
        }
    }
}

/// A value without quotes.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples have the types that are asked for.
    #[test]
    fn examples_are_accepted() {
        for key in &KEYS {
            let (table, name, example) = (key.table, key.name, key.example);
            let (open, close) = match table {
                "device" | "rule" => ("[[", "]]"),
                _ => ("[", "]"),
            };
            check(&format!("{open}{table}{close}\n{name} = {example}\n")).unwrap();
        }
    }
}
