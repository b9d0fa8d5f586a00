//! Builds the guest that needs no system, `images/testguest`: an ELF file with a PVH entry.
//!
//! It has a workspace and a target directory of its own, as the probe has, and for the same reasons.

use crate::{ImageError, Progress, Result, command, probe};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What it is built for.
pub const TARGET: &str = "x86_64-unknown-none";
const HELP: &str = "the test guest needs Rust's target for bare machines: \
     rustup target add x86_64-unknown-none";

/// Builds the test guest of a checkout and copies it to the file `out`, which it returns.
pub fn build(repo_root: &Path, out: &Path, progress: Progress<'_>) -> Result<PathBuf> {
    let root = fs::canonicalize(repo_root).map_err(ImageError::io("find", repo_root))?;
    let target = root.join("target/testguest");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    for name in probe::NOT_OURS {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(root.join("images/testguest"))
        .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(&target)
        // None: all that it needs is in its manifest and its build script.
        .env("CARGO_ENCODED_RUSTFLAGS", "");
    let doing = "build the test guest";
    progress(doing);
    command::run(&mut cargo, doing, HELP, progress, String::new)?;
    let built = target.join(TARGET).join("release/testguest");
    if let Some(dir) = out.parent() {
        fs::create_dir_all(dir).map_err(ImageError::io("create", dir))?;
    }
    fs::copy(&built, out).map_err(ImageError::io("copy the test guest to", out))?;
    Ok(out.to_owned())
}
