// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is remembered from one run to the next, outside the checkout.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

/// Small texts under names. Losing one costs a measurement, never a result.
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// `$EVQ_CACHE/vm`, by default `~/.cache/evq/vm`.
    ///
    /// # Errors
    /// Neither of the variables that say where caches are is set.
    pub fn open() -> anyhow::Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let cache = variable("EVQ_CACHE")
            .map(PathBuf::from)
            .or_else(|| variable("XDG_CACHE_HOME").map(|home| PathBuf::from(home).join("evq")))
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache/evq")))
            .context("no place for a cache: set EVQ_CACHE or HOME")?;
        Ok(Self {
            folder: cache.join("vm"),
        })
    }

    /// What was stored under this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    /// Stores it, in one step, so that no other run sees half of it.
    ///
    /// # Errors
    /// The folder or the file cannot be written.
    pub fn set(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&draft, text))
            .and_then(|()| fs::rename(&draft, &path))
            .with_context(|| format!("writing {} (EVQ_CACHE sets the place)", path.display()))
    }

    fn path(&self, name: &str) -> PathBuf {
        let safe = |char: char| {
            if char.is_ascii_alphanumeric() || "-_+".contains(char) {
                char
            } else {
                '_'
            }
        };
        self.folder.join(name.chars().map(safe).collect::<String>())
    }
}
