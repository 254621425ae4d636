// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a page has between its fences: commands with what they print, and files.
//!
//! A block `console` has lines with `$ ` (host) or `# ` (guest) in front of a
//! command, which a `\` at its end continues, each followed by what is printed.
//! Any other block names, behind its language, the file that it quotes.

/// Where a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Host,
    Guest,
}

/// A command, and what the page shows of what it prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// In the page, from 1.
    pub(crate) line: usize,
    pub(crate) place: Place,
    pub(crate) command: String,
    pub(crate) shown: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Console(Vec<Step>),
    File {
        line: usize,
        path: String,
        text: String,
    },
}

const FENCE: &str = "```";

/// All blocks, or the line that is wrong and why.
pub(crate) fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let mut all = Vec::new();
    let mut lines = page.lines().zip(1..);
    while let Some((text, line)) = lines.next() {
        let Some(kind) = text.strip_prefix(FENCE) else {
            continue;
        };
        let mut inside = Vec::new();
        loop {
            match lines.next() {
                Some((FENCE, _)) => break,
                Some(line) => inside.push(line),
                None => return Err(format!("{line}: this block does not end")),
            }
        }
        all.push(match kind.split_once(' ') {
            None if kind == "console" => Block::Console(steps(&inside)?),
            Some((_, path)) => Block::File {
                line,
                path: path.into(),
                text: inside.iter().map(|(text, _)| format!("{text}\n")).collect(),
            },
            None => {
                return Err(format!(
                    "{line}: neither a console nor a file: nothing would hold it to the truth"
                ))
            }
        });
    }
    Ok(all)
}

fn steps(lines: &[(&str, usize)]) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for &(text, line) in lines {
        let place = match text.get(..2) {
            Some("$ ") => Some(Place::Host),
            Some("# ") => Some(Place::Guest),
            _ => None,
        };
        match (place, steps.last_mut()) {
            (None, Some(step)) if step.shown.is_empty() && step.command.ends_with('\\') => {
                step.command = format!("{}\n{text}", step.command);
            }
            (Some(place), _) => steps.push(Step {
                line,
                place,
                command: text[2..].into(),
                shown: Vec::new(),
            }),
            (None, Some(step)) => step.shown.push(text.into()),
            (None, None) => return Err(format!("{line}: what command prints this?")),
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_files_are_found() {
        let page = "Text.\n```console\n$ one\nout\n\n# two \\\n  2\n```\n```c a/b.c\nint i;\n```\n";
        let step = |line, place, command: &str, shown: &[&str]| Step {
            line,
            place,
            command: command.into(),
            shown: shown.iter().map(|&text| text.into()).collect(),
        };
        assert_eq!(
            blocks(page),
            Ok(vec![
                Block::Console(vec![
                    step(3, Place::Host, "one", &["out", ""]),
                    step(6, Place::Guest, "two \\\n  2", &[]),
                ]),
                Block::File {
                    line: 9,
                    path: "a/b.c".into(),
                    text: "int i;\n".into()
                },
            ])
        );
    }

    #[test]
    fn what_nobody_would_check_is_refused() {
        for (page, line) in [
            ("\n```\nls\n```\n", "2:"),
            ("```console\nout\n```\n", "2:"),
            ("```console\n$ ls\n", "1:"),
        ] {
            let error = blocks(page).unwrap_err();
            assert!(error.starts_with(line), "{page:?}: {error}");
        }
    }
}
