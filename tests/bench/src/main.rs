// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `evdev-client bench --format json` has found, for people.
//!
//! `evq-bench page RESULTS DIRECTORY` makes a page with plots.
//! `evq-bench instructions RESULTS BASELINE MADE-WITH` compares a run under
//! `-icount` with that of before and fails if something has become dearer;
//! `evq-bench baseline RESULTS BASELINE MADE-WITH` makes it the one of before.
//! `evq-bench profile TRACE STRETCHES RESULTS PAGE MADE-WITH` says which functions
//! take how many of the instructions that were recorded.

mod instructions;
mod page;
mod plot;
mod profile;
mod results;

use std::fs;
use std::path::Path;

use anyhow::{bail, ensure, Context as _};

use instructions::Instructions;
use results::Results;

const USAGE: &str = "evq-bench page RESULTS DIRECTORY, or
evq-bench instructions|baseline RESULTS BASELINE MADE-WITH, or
evq-bench profile TRACE STRETCHES RESULTS PAGE MADE-WITH";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["page", file, directory] => page(file.as_ref(), directory.as_ref()),
        ["instructions", file, baseline, made_with] => {
            compare(file.as_ref(), baseline.as_ref(), made_with)
        }
        ["baseline", file, baseline, made_with] => {
            let is = Instructions::new(&results(file.as_ref())?, made_with.to_owned());
            let text = serde_json::to_string_pretty(&is)? + "\n";
            fs::write(baseline, text).with_context(|| format!("cannot write {baseline}"))
        }
        ["profile", trace, stretches, to, page, made_with] => profile::make(
            trace.as_ref(),
            &read(stretches.as_ref())?,
            to.as_ref(),
            page.as_ref(),
            made_with,
        ),
        _ => bail!("{USAGE}"),
    }
}

fn results(file: &Path) -> anyhow::Result<Results> {
    let text = read(file)?;
    serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is not what `evdev-client bench --format json` of this version writes",
            file.display()
        )
    })
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn page(file: &Path, directory: &Path) -> anyhow::Result<()> {
    let results = results(file)?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    plot::all(&results, directory)?;
    let path = directory.join("results.md");
    fs::write(&path, page::page(&results))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

fn compare(file: &Path, baseline: &Path, made_with: &str) -> anyhow::Result<()> {
    let is = Instructions::new(&results(file)?, made_with.to_owned());
    let was: Instructions = serde_json::from_str(&read(baseline)?)
        .with_context(|| format!("{} is no baseline", baseline.display()))?;
    let Some((table, good)) = is.beside(&was) else {
        println!(
            "figure: instructions: not compared, {} was made with {}; this is {made_with}. \
             make icount-baseline makes another",
            baseline.display(),
            was.made_with
        );
        return Ok(());
    };
    print!("{table}");
    ensure!(
        good,
        "something takes more instructions than before; if it is worth it, make icount-baseline"
    );
    println!(
        "figure: instructions: {} as before, or fewer",
        was.figures.len()
    );
    Ok(())
}
