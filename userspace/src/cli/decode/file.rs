// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files: TOML, checked as a whole before anything of it counts.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use evq::uapi::DATA_MAX;
use evq::Source;
use serde::Deserialize;
use toml::Spanned;

use super::field::{Field, Kind, Order};
use super::{Decode, Decoded};
use crate::cli::hex;
use crate::cli::whose::SourceWanted;

/// What some events mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decoder {
    pub(super) name: String,
    source: SourceWanted,
    type_: Option<u16>,
    code: Option<u16>,
    codes: BTreeMap<u16, String>,
    fields: Vec<Field>,
}

impl Decoder {
    pub(super) fn is_for(&self, source: Source, type_: u16, code: u16) -> bool {
        self.source.is(source)
            && self.type_.is_none_or(|wanted| wanted == type_)
            && self.code.is_none_or(|wanted| wanted == code)
    }

    #[cfg(feature = "daemon")]
    pub(super) fn has_code(&self, name: &str) -> bool {
        self.codes.values().any(|code| code == name)
    }

    pub(super) fn decode(&self, code: u16, payload: &[u8]) -> Decoded {
        let fields = self.fields.iter().map(|field| Decode {
            name: field.name.clone(),
            value: field.decode(payload),
            unit: field.unit.clone(),
        });
        Decoded {
            name: self.name.clone(),
            code: self.codes.get(&code).cloned(),
            fields: fields.collect(),
        }
    }
}

/// A file that cannot be used, and where in it the reason is.
#[derive(Debug)]
pub(in crate::cli) struct BadFile {
    path: PathBuf,
    /// Line and column, from 1.
    place: Option<(usize, usize)>,
    message: String,
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for BadFile {}

/// What is wrong, and with which part of the text.
type Wrong = (Option<Range<usize>>, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    #[serde(rename = "decoder")]
    decoders: Vec<DecoderTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecoderTable {
    name: Spanned<String>,
    source: Spanned<String>,
    #[serde(rename = "type")]
    type_: Option<u16>,
    code: Option<u16>,
    #[serde(default)]
    codes: BTreeMap<Spanned<String>, String>,
    #[serde(default, rename = "field")]
    fields: Vec<FieldTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldTable {
    name: Spanned<String>,
    kind: Spanned<Kind>,
    at: Option<Spanned<usize>>,
    size: Option<Spanned<usize>>,
    #[serde(default)]
    order: Order,
    bits: Option<Spanned<(u32, u32)>>,
    scale: Option<Spanned<f64>>,
    add: Option<Spanned<f64>>,
    unit: Option<String>,
    #[serde(default)]
    values: BTreeMap<Spanned<String>, String>,
}

/// Reads and checks a file.
pub(super) fn read(path: &Path) -> Result<Vec<Decoder>, BadFile> {
    let bad = |place, message| BadFile {
        path: path.to_owned(),
        place,
        message,
    };
    let text = fs::read_to_string(path).map_err(|error| {
        bad(
            None,
            format!("cannot read it: {error}; give the path of a decoder file (TOML)"),
        )
    })?;
    parse(&text).map_err(|(span, message)| bad(span.map(|span| place(&text, span.start)), message))
}

pub(super) fn parse(text: &str) -> Result<Vec<Decoder>, Wrong> {
    let file: FileTable =
        toml::from_str(text).map_err(|error| (error.span(), error.message().to_owned()))?;
    file.decoders
        .into_iter()
        .map(DecoderTable::checked)
        .collect()
}

fn wrong<T>(span: Range<usize>, message: impl Into<String>) -> Result<T, Wrong> {
    Err((Some(span), message.into()))
}

impl DecoderTable {
    fn checked(self) -> Result<Decoder, Wrong> {
        let source = self.source.get_ref().parse();
        let source = source.map_err(|message: &str| (Some(self.source.span()), message.into()))?;
        if matches!(source, SourceWanted::Class(evq::uapi::CLASS_INPUT)) {
            return wrong(
                self.source.span(),
                "input events have names already; give another class",
            );
        }
        let mut codes = BTreeMap::new();
        for (code, name) in self.codes {
            let number = hex::number(code.get_ref());
            let number = number.map_err(|wrong| (Some(code.span()), wrong.what))?;
            codes.insert(number, name);
        }
        let (mut next, mut names, mut fields) = (Some(0), HashSet::new(), Vec::new());
        for field in self.fields {
            if !names.insert(field.name.get_ref().clone()) {
                return wrong(field.name.span(), "another field has this name already");
            }
            let field = field.checked(next)?;
            next = match field.kind.size().or(field.size) {
                Some(size) => Some(field.at + size),
                None => None,
            };
            fields.push(field);
        }
        Ok(Decoder {
            name: named(self.name)?,
            source,
            type_: self.type_,
            code: self.code,
            codes,
            fields,
        })
    }
}

impl FieldTable {
    /// `next`: where the field before it ends, if that is known.
    fn checked(self, next: Option<usize>) -> Result<Field, Wrong> {
        let (kind, span) = (*self.kind.get_ref(), self.kind.span());
        let at = match (&self.at, next) {
            (Some(at), _) => *at.get_ref(),
            (None, Some(next)) => next,
            (None, None) => {
                let what =
                    "the field before it goes to the end of the payload; give `at`, its first byte";
                return wrong(self.name.span(), what);
            }
        };
        if let (Some(size), true) = (&self.size, kind.is_number()) {
            return wrong(
                size.span(),
                "only string and bytes have a size of their own",
            );
        }
        let size = self.size.as_ref().map(|size| *size.get_ref());
        let end = kind.size().or(size).and_then(|size| at.checked_add(size));
        if end.unwrap_or(at) > DATA_MAX || size.is_some() && end.is_none() {
            let what = format!("it ends behind byte {DATA_MAX}, where the largest payload ends");
            return wrong(self.at.map_or(span, |at| at.span()), what);
        }
        let bits = match self.bits {
            None => None,
            Some(bits) => {
                let (first, count) = *bits.get_ref();
                let all = 8 * kind.size().unwrap_or(0) as u32;
                let within = first.checked_add(count).is_some_and(|end| end <= all);
                if !kind.is_unsigned() || count == 0 || !within {
                    let what = "give [LOWEST, COUNT] of the bits of an unsigned number";
                    return wrong(bits.span(), what);
                }
                Some((first, count))
            }
        };
        for factor in [&self.scale, &self.add].into_iter().flatten() {
            if !kind.is_number() || !factor.get_ref().is_finite() {
                return wrong(
                    factor.span(),
                    "only numbers can be scaled, by a finite number",
                );
            }
        }
        let mut values = BTreeMap::new();
        for (value, name) in self.values {
            let text = value.get_ref();
            let number = match text.strip_prefix('-') {
                Some(digits) => hex::unsigned(digits).map(|number| -i128::from(number)),
                None => hex::unsigned(text).map(i128::from),
            };
            match number {
                Some(number) if kind.is_integer() => values.insert(number, name),
                _ => {
                    return wrong(
                        value.span(),
                        "give values of an integer, decimal or hex with 0x",
                    )
                }
            };
        }
        Ok(Field {
            name: named(self.name)?,
            kind,
            at,
            size,
            order: self.order,
            bits,
            scale: self.scale.map(Spanned::into_inner),
            add: self.add.map(Spanned::into_inner),
            unit: self.unit,
            values,
        })
    }
}

/// A name that lines and environments can have.
fn named(name: Spanned<String>) -> Result<String, Wrong> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.get_ref().is_empty() || !name.get_ref().chars().all(good) {
        return wrong(name.span(), "give a name of letters, digits, _, - and .");
    }
    Ok(name.into_inner())
}

/// Line and column of a byte, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[start..].chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[[decoder]]\nname = \"x\"\nsource = \"kernel:0x100\"\n\
                        [[decoder.field]]\nname = \"a\"\nkind = \"u32\"\nat = 0\n";

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert_eq!(parse(GOOD).unwrap().len(), 1);
        for (good, bad, line, said) in [
            ("kernel:0x100", "me", 3, "give pid:N"),
            ("kernel:0x100", "input", 3, "have names already"),
            ("name = \"x\"", "nome = \"x\"", 2, "unknown field `nome`"),
            ("\"x\"", "\"a b\"", 2, "letters, digits"),
            ("\"u32\"", "\"u33\"", 6, "unknown variant `u33`"),
            ("at = 0", "at = 29", 7, "ends behind byte 32"),
            ("at = 0", "size = 3", 7, "only string and bytes"),
            ("at = 0", "bits = [30, 3]", 7, "give [LOWEST, COUNT]"),
            (
                "at = 0",
                "bits = [4294967295, 1]",
                7,
                "give [LOWEST, COUNT]",
            ),
            ("at = 0", "bits = [0, 0]", 7, "give [LOWEST, COUNT]"),
            ("at = 0", "scale = nan", 7, "finite number"),
            (
                "at = 0",
                "values = { x = \"y\" }",
                7,
                "give values of an integer",
            ),
            (
                "at = 0",
                "[[decoder.field]]\nname = \"a\"\nkind = \"u8\"",
                8,
                "has this name",
            ),
            (
                "\"u32\"\nat = 0",
                "\"string\"\nsize = 33",
                6,
                "ends behind byte 32",
            ),
            (
                "\"u32\"\nat = 0",
                "\"string\"\n[[decoder.field]]\nname = \"b\"\nkind = \"u8\"",
                8,
                "goes to the end",
            ),
            (
                "[[decoder.field]]",
                "codes = { 65536 = \"x\" }\n[[decoder.field]]",
                4,
                "65535",
            ),
        ] {
            let text = GOOD.replace(good, bad);
            assert_ne!(text, GOOD);
            let (span, message) = parse(&text).unwrap_err();
            let span = span.unwrap_or_else(|| panic!("{bad}: {message}"));
            assert_eq!(place(&text, span.start).0, line, "{bad}: {message}");
            assert!(message.contains(said), "{bad}: {message}");
        }
    }
}
