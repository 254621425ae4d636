// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples are carried into each VM: without what only a debugger wants
//! they are a tenth of the size.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
}
