// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fields of a payload: numbers, bits of them, text.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::cli::hex;

/// Where a field is and what it means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its first byte.
    pub(super) at: usize,
    /// Of text and bytes; None: all that is left.
    pub(super) size: Option<usize>,
    pub(super) order: Order,
    /// The lowest bit and how many, of an unsigned number.
    pub(super) bits: Option<(u32, u32)>,
    pub(super) scale: Option<f64>,
    pub(super) add: Option<f64>,
    pub(super) unit: Option<String>,
    pub(super) values: BTreeMap<i128, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
    String,
    Bytes,
}

/// Of the bytes of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    /// As this machine has it, as drivers write it.
    #[default]
    Native,
    Little,
    Big,
}

impl Kind {
    /// Bytes of a number; None: text and bytes have a size of their own.
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Kind::U8 | Kind::I8 => Some(1),
            Kind::U16 | Kind::I16 => Some(2),
            Kind::U32 | Kind::I32 | Kind::F32 => Some(4),
            Kind::U64 | Kind::I64 | Kind::F64 => Some(8),
            Kind::String | Kind::Bytes => None,
        }
    }

    pub(super) fn is_unsigned(self) -> bool {
        matches!(self, Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64)
    }

    pub(super) fn is_number(self) -> bool {
        self.size().is_some()
    }

    pub(super) fn is_integer(self) -> bool {
        self.is_number() && !matches!(self, Kind::F32 | Kind::F64)
    }
}

/// What a field says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Integer(i128),
    Float(f64),
    /// Text, or the name of a value.
    Text(String),
    Name(String),
}

impl Value {
    /// Whether readers of JSON may round it.
    pub(super) fn is_large(&self) -> bool {
        matches!(self, Value::Integer(number) if number.unsigned_abs() >= 1 << 53)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(number) => number.fmt(f),
            // 15 digits are what every decimal fraction has in 64 bits.
            Value::Float(number) => rounded(*number).fmt(f),
            Value::Text(text) | Value::Name(text) => f.write_str(text),
        }
    }
}

/// -20 for what came of -200 times 0.1.
fn rounded(number: f64) -> f64 {
    let text = format!("{number:.14e}");
    text.parse().unwrap_or(number)
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            // Fields have 64 bits at most, and the smallest type is the plainest JSON.
            Value::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => to.serialize_i64(number),
                (_, Ok(number)) => to.serialize_u64(number),
                _ => to.serialize_str(&number.to_string()),
            },
            // JSON has neither infinity nor NaN.
            Value::Float(number) if !number.is_finite() => to.serialize_str(&number.to_string()),
            Value::Float(number) => to.serialize_f64(rounded(*number)),
            Value::Text(text) | Value::Name(text) => to.serialize_str(text),
        }
    }
}

impl Field {
    /// What it says in a payload; None if that ends before it.
    pub(super) fn decode(&self, payload: &[u8]) -> Option<Value> {
        let rest = payload.get(self.at..)?;
        let Some(size) = self.kind.size() else {
            let bytes = match self.size {
                Some(size) => rest.get(..size)?,
                None => rest,
            };
            return Some(Value::Text(match self.kind {
                Kind::Bytes => hex::encode(bytes),
                _ => text(bytes),
            }));
        };
        let bytes = rest.get(..size)?;
        // The highest byte first.
        let big = match self.order {
            Order::Big => true,
            Order::Little => false,
            Order::Native => cfg!(target_endian = "big"),
        };
        let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let raw = if big {
            bytes.iter().fold(0, push)
        } else {
            bytes.iter().rev().fold(0, push)
        };
        let number = match self.kind {
            Kind::F32 => return Some(self.scaled(f64::from(f32::from_bits(raw as u32)))),
            Kind::F64 => return Some(self.scaled(f64::from_bits(raw))),
            Kind::I8 => i128::from(raw as u8 as i8),
            Kind::I16 => i128::from(raw as u16 as i16),
            Kind::I32 => i128::from(raw as u32 as i32),
            Kind::I64 => i128::from(raw as i64),
            _ => match self.bits {
                Some((first, count)) => i128::from(raw >> first & (u64::MAX >> (64 - count))),
                None => i128::from(raw),
            },
        };
        Some(match self.values.get(&number) {
            Some(name) => Value::Name(name.clone()),
            None if self.scale.is_none() && self.add.is_none() => Value::Integer(number),
            None => self.scaled(number as f64),
        })
    }

    fn scaled(&self, number: f64) -> Value {
        Value::Float(number * self.scale.unwrap_or(1.0) + self.add.unwrap_or(0.0))
    }
}

/// Up to the first NUL, as strings of C are.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}
