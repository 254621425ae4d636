// SPDX-License-Identifier: MIT OR Apache-2.0
//! Man pages: there is one for each command, and mandoc has nothing to say.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

fn output(command: &mut Command) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {name}: {error}; qemu/setup installs what is missing (package mandoc)")
    });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {text}{errors}");
    text
}

fn client() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin("evdev-client"))
}

/// What mandoc says from this level on.
fn lint(level: &str, page: &Path) -> String {
    let output = Command::new("mandoc")
        .args(["-T", "lint", "-W", level])
        .arg(page)
        .output()
        .unwrap_or_else(|error| {
            panic!("cannot run mandoc: {error}; qemu/setup installs it (package mandoc)")
        });
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_command_has_a_page_that_is_right() {
    let folder = TempDir::new().unwrap();
    output(client().arg("manual").arg(folder.path()));
    let help = output(client().arg("--help"));
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.contains(&"record"), "{help}");
    for command in commands {
        let page = folder.path().join(format!("man1/evdev-client-{command}.1"));
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page:?}: {error}"));
        assert!(text.contains("SYNOPSIS"), "{text}");
    }
    // What is generated has paragraphs that mandoc would set in another way.
    for page in fs::read_dir(folder.path().join("man1")).unwrap() {
        let page = page.unwrap().path();
        assert_eq!(lint("error", &page), "", "{page:?}");
    }
}

/// Every command, with its help: those below `explain` too.
fn helps() -> Vec<(String, String)> {
    let (mut found, mut left) = (Vec::new(), vec![String::new()]);
    while let Some(name) = left.pop() {
        let help = output(client().args(name.split_whitespace()).arg("--help"));
        let commands = help
            .lines()
            .skip_while(|line| !line.starts_with("Commands:"))
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
            .filter(|command| !command.is_empty() && *command != "help");
        left.extend(commands.map(|command| format!("{name} {command}")));
        found.push((name, help));
    }
    found
}

/// Examples and references are in every help and on every page, and each page
/// that is named is there.
#[test]
fn every_command_has_examples_and_references() {
    let folder = TempDir::new().unwrap();
    output(client().arg("manual").arg(folder.path()));
    let helps = helps();
    assert!(helps.iter().any(|(name, _)| name == " explain race"));
    for (name, help) in helps {
        assert!(help.contains("\nExamples:\n"), "{name}: {help}");
        let (_, see_also) = help.rsplit_once("See also: ").expect(&name);
        // It may be wrapped.
        let see_also = see_also.split_whitespace().collect::<Vec<_>>().join(" ");
        let page = format!("evdev-client{}", name.replace(' ', "-"));
        let path = folder.path().join(format!("man1/{page}.1"));
        let text = output(Command::new("mandoc").args(["-T", "ascii"]).arg(&path));
        // Without what overstrikes for bold type.
        let mut plain = String::new();
        for c in text.chars() {
            match c {
                '\u{8}' => drop(plain.pop()),
                c => plain.push(c),
            }
        }
        for section in ["\nEXAMPLES\n", "\nSEE ALSO\n"] {
            assert!(plain.contains(section), "{section} of {page}: {plain}");
        }
        for reference in see_also.split(", ") {
            assert!(plain.contains(reference), "{reference} of {page}: {plain}");
            let (other, section) = reference.split_once('(').expect(reference);
            let section = section.trim_end_matches(')');
            let made = folder.path().join(format!("man1/{other}.{section}"));
            let written = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(format!("../docs/man/{other}.{section}"));
            assert!(
                made.exists() || written.exists(),
                "{page} names {reference}"
            );
        }
    }
}

#[test]
fn the_pages_about_device_and_format_are_right() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/man");
    let mut names = Vec::new();
    for page in fs::read_dir(pages).unwrap() {
        let page = page.unwrap().path();
        assert_eq!(lint("warning", &page), "", "{page:?}");
        names.push(page.file_name().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["evq-recording.5", "evq.4"]);
}

#[test]
fn the_completions_are_shell() {
    let folder = TempDir::new().unwrap();
    output(client().arg("manual").arg(folder.path()));
    let bash = folder.path().join("completions/evdev-client.bash");
    output(Command::new("bash").arg("-n").arg(&bash));
    // What bash would offer after `evdev-client re`.
    let offered = output(Command::new("bash").arg("-c").arg(format!(
        ". '{}'; COMP_WORDS=(evdev-client re); COMP_CWORD=1; \
         _evdev__client evdev-client re evdev-client; echo \"${{COMPREPLY[*]}}\"",
        bash.display()
    )));
    assert_eq!(offered.trim(), "record replay");
    for other in ["_evdev-client", "evdev-client.fish"] {
        let path = folder.path().join("completions").join(other);
        assert!(
            fs::read_to_string(&path).unwrap().contains("record"),
            "{path:?}"
        );
    }
}
