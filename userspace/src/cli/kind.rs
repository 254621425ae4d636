// SPDX-License-Identifier: MIT OR Apache-2.0
//! Types and codes as people write them: by number, or by the name of the kernel's
//! header. The same in options, in the lines of `send` and in configurations.

use std::str::FromStr;

use evq::input::Input;

use super::hex;

/// A type, by its number or by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type(u16);

/// A code, by its number or by its name, which has a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    type_: Option<u16>,
    code: u16,
}

impl From<u16> for Type {
    fn from(number: u16) -> Type {
        Type(number)
    }
}

impl From<u16> for Code {
    fn from(code: u16) -> Code {
        Code { type_: None, code }
    }
}

const WANTED: &str = "give a number from 0 to 65535 (decimal, or hex with 0x), or a name of \
                      linux/input-event-codes.h, as watch prints it";

impl FromStr for Type {
    type Err = String;

    fn from_str(text: &str) -> Result<Type, String> {
        if let Ok(number) = hex::number(text) {
            return Ok(number.into());
        }
        match Input::named(text) {
            Some((type_, None)) => Ok(Type(type_)),
            Some((_, Some(_))) => Err(format!("{text} is a code, not a type: give it as code")),
            None => Err(format!(
                "no type of an input event is called {text:?}; {WANTED}"
            )),
        }
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Code, String> {
        if let Ok(code) = hex::number(text) {
            return Ok(code.into());
        }
        match Input::named(text) {
            Some((type_, Some(code))) => Ok(Code {
                type_: Some(type_),
                code,
            }),
            Some((_, None)) => Err(format!("{text} is a type, not a code: give it as type")),
            None => Err(format!(
                "no code of an input event is called {text:?}; {WANTED}"
            )),
        }
    }
}

impl Type {
    pub(super) fn number(self) -> u16 {
        self.0
    }
}

impl Code {
    /// The type that its name has.
    pub(super) fn type_(self) -> Option<u16> {
        self.type_
    }

    /// Whether an event of this type and code has it.
    pub(super) fn is(self, type_: u16, code: u16) -> bool {
        self.code == code && self.type_.is_none_or(|wanted| wanted == type_)
    }

    /// Its number, for an event of this type.
    pub(super) fn of(self, type_: Type) -> Result<u16, String> {
        match self.type_ {
            Some(own) if own != type_.0 => Err(format!(
                "this is a code of type {own}, and the type is {}; give the type {own}, or the \
                 code as a number",
                type_.0
            )),
            _ => Ok(self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for (text, type_) in [("EV_KEY", 1), ("1", 1), ("0x1", 1), ("EV_FF", 0x15)] {
            assert_eq!(text.parse::<Type>().map(Type::number), Ok(type_));
        }
        for text in ["BTN_A", "BTN_SOUTH", "BTN_GAMEPAD", "304", "0x130"] {
            let code: Code = text.parse().unwrap();
            assert!(code.is(1, 304), "{text}");
            assert_eq!(code.of(1.into()), Ok(304), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let type_error = |text: &str| text.parse::<Type>().unwrap_err();
        assert!(type_error("KEY_A").contains("give it as code"));
        assert!(type_error("65536").contains("0 to 65535"));
        let code_error = |text: &str| text.parse::<Code>().unwrap_err();
        assert!(code_error("EV_KEY").contains("give it as type"));
        assert!(code_error("KEY_").contains("or a name"));
        let key: Code = "KEY_A".parse().unwrap();
        assert!(key.of(2.into()).unwrap_err().contains("a code of type 1"));
    }
}
