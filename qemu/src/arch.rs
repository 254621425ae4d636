// SPDX-License-Identifier: MIT OR Apache-2.0
//! The architecture of the guest: which QEMU runs it, and how its machine
//! differs.

use std::env::consts;
use std::fmt;
use std::str::FromStr;

/// An architecture that guests can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// That of this machine; the runner is built for no other.
    ///
    /// # Errors
    /// It is none that guests can have.
    pub fn host() -> anyhow::Result<Self> {
        consts::ARCH.parse().map_err(anyhow::Error::msg)
    }

    /// QEMU's program.
    #[must_use]
    pub fn qemu(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86_64",
            Self::Arm64 => "qemu-system-aarch64",
        }
    }

    /// Debian's package of that program.
    #[must_use]
    pub fn qemu_package(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86",
            Self::Arm64 => "qemu-system-arm",
        }
    }

    /// The target that cargo builds the guest's programs for.
    #[must_use]
    pub fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The kernel's console, which carries its log.
    #[must_use]
    pub fn console(self) -> &'static str {
        match self {
            Self::Amd64 => "ttyS0",
            Self::Arm64 => "ttyAMA0",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "amd64" | "x86_64" | "x86-64" | "x86" => Ok(Self::Amd64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            _ => Err(format!(
                "unknown architecture {name:?}: supported are amd64 (x86_64) and arm64 (aarch64)"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arch_name_parses_in_every_common_spelling() {
        for (name, arch) in [
            ("amd64", Arch::Amd64),
            ("x86_64", Arch::Amd64),
            ("arm64", Arch::Arm64),
            ("aarch64", Arch::Arm64),
        ] {
            assert_eq!(name.parse(), Ok(arch));
        }
        assert_eq!(Arch::Arm64.to_string().parse(), Ok(Arch::Arm64));
    }

    #[test]
    fn arch_name_unknown_lists_the_supported_ones() {
        let error = "riscv64".parse::<Arch>().unwrap_err();
        assert!(
            error.contains("riscv64") && error.contains("arm64"),
            "{error}"
        );
    }
}
