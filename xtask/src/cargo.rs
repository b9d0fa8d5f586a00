//! Cargo, as this workspace's commands need it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

/// The cargo that runs us, else the one on the path.
pub(crate) fn command() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// The workspace's directory.
pub(crate) fn root() -> &'static Path {
    // This crate is a directory of it.
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where the workspaces of programs that run inside a guest are built, apart from the main one.
pub(crate) fn guest_target() -> PathBuf {
    let main = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(main.unwrap_or_else(|| "target".into())).join("guests")
}

/// Is cargo-nextest there?
pub(crate) fn has_nextest() -> bool {
    command().args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The names of the workspace's integration tests, without those that need a feature.
pub(crate) fn integration_tests() -> anyhow::Result<Vec<String>> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let targets = packages.iter().filter_map(|package| package["targets"].as_array()).flatten();
    let mut names: Vec<String> = targets
        .filter(|target| target["kind"][0] == "test" && target["required-features"].is_null())
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn metadata() -> anyhow::Result<Value> {
    let output = command()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("can't start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata isn't JSON")
}
