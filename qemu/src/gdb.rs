// SPDX-License-Identifier: MIT OR Apache-2.0
//! A script for gdb: where the guest is, and where its modules were loaded.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::kernel::Kernel;
use crate::wire::Report;

/// Writes `modules.gdb` into the folder of the run and says how to use it.
///
/// # Errors
/// The file cannot be written.
pub fn offer(
    kernel: &Kernel,
    modules: &[PathBuf],
    socket: &Path,
    sections: &[Report],
    folder: &Path,
) -> anyhow::Result<()> {
    let mut script = String::from("set pagination off\n");
    if let Some(symbols) = &kernel.symbols {
        writeln!(script, "file {}", symbols.display())?;
    } else {
        eprintln!(
            "evq-vm: there are no symbols of the kernel {} itself (a stock kernel comes without); \
             those of the modules are there",
            kernel.release
        );
    }
    writeln!(script, "target remote {}", socket.display())?;
    for (name, addresses) in by_module(sections) {
        let file = modules.iter().find(|path| {
            path.file_stem()
                .is_some_and(|stem| stem.to_string_lossy().replace('-', "_") == name)
        });
        if let Some(file) = file {
            writeln!(script, "{}", add_symbols(file, &addresses))?;
        }
    }
    let file = folder.join("modules.gdb");
    fs::write(&file, script).with_context(|| format!("writing {}", file.display()))?;
    eprintln!("evq-vm: in another terminal: gdb -x {}", file.display());
    Ok(())
}

fn by_module(sections: &[Report]) -> BTreeMap<&str, BTreeMap<&str, &str>> {
    let mut modules: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for section in sections {
        if let Report::Section {
            module,
            name,
            address,
        } = section
        {
            modules.entry(module).or_default().insert(name, address);
        }
    }
    modules
}

fn add_symbols(file: &Path, addresses: &BTreeMap<&str, &str>) -> String {
    // gdb looks at sections that hold code or data; the others only make noise.
    let wanted = |name: &str| {
        [".text", ".data", ".rodata", ".bss"]
            .iter()
            .any(|start| name == *start || name.starts_with(&format!("{start}.")))
    };
    let mut line = format!("add-symbol-file {}", file.display());
    for (name, address) in addresses {
        if wanted(name) {
            // A String takes whatever is written to it.
            let _ = write!(line, " -s {name} {address}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_gets_one_line() {
        let section = |module: &str, name: &str, address: &str| Report::Section {
            module: module.into(),
            name: name.into(),
            address: address.into(),
        };
        let sections = [
            section("evq", ".text", "0x10"),
            section("evq_input", ".text", "0x20"),
            section("evq", ".note.x", "0x30"),
            section("evq", ".rodata.str1.1", "0x40"),
        ];
        let modules = by_module(&sections);
        assert_eq!(modules.len(), 2);
        assert_eq!(
            add_symbols(Path::new("/x/evq.ko"), &modules["evq"]),
            "add-symbol-file /x/evq.ko -s .rodata.str1.1 0x40 -s .text 0x10"
        );
    }
}
