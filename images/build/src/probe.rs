//! Builds the guest's test program, `images/probe`: static, and the same bytes in every checkout.
//!
//! It has a workspace and a target directory of its own, so that its flags never reach the host
//! runtime's build and cargo's lock on the main target directory is never waited for.

use crate::{ImageError, Progress, Result, command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";
const HELP: &str = "the probe needs this repository's Rust toolchain, a C linker and libc6-dev \
     (apt-get install gcc libc6-dev), and the network once for its crates";
/// What the surroundings of this build mean for theirs, not for the probe's.
pub(crate) const NOT_OURS: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TARGET_DIR",
    "CARGO_INCREMENTAL",
];

/// Builds the probe of a checkout and copies it to the file `out`, which it returns.
pub fn build(repo_root: &Path, out: &Path, progress: Progress<'_>) -> Result<PathBuf> {
    let root = fs::canonicalize(repo_root).map_err(ImageError::io("find", repo_root))?;
    let target = root.join("target/probe");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    for name in NOT_OURS {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(root.join("images/probe"))
        .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&root).join("\x1f"));
    let doing = "build the guest's test program";
    progress(doing);
    command::run(&mut cargo, doing, HELP, progress, String::new)?;
    let built = target.join(TARGET).join("release/probe");
    check_static(&built)?;
    if let Some(dir) = out.parent() {
        fs::create_dir_all(dir).map_err(ImageError::io("create", dir))?;
    }
    fs::copy(&built, out).map_err(ImageError::io("copy the probe to", out))?;
    Ok(out.to_owned())
}

/// Flags of rustc, each with its reason.
fn flags(root: &Path) -> Vec<String> {
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from);
    vec![
        // The guest has no shared libraries.
        "-Ctarget-feature=+crt-static".into(),
        // Nor any use for an address that changes from run to run.
        "-Crelocation-model=static".into(),
        // Panic messages hold source paths: they must not tell where it was built.
        remap(root, "/pangea"),
        remap(&cargo_home, "/cargo"),
    ]
}

fn check_static(program: &Path) -> Result<()> {
    let bytes = fs::read(program).map_err(ImageError::io("read", program))?;
    let elf = goblin::elf::Elf::parse(&bytes)
        .map_err(|error| ImageError::content(program, format!("isn't an ELF file: {error}")))?;
    match elf.interpreter {
        Some(loader) => {
            Err(ImageError::content(program, format!("isn't static: it wants {loader}")))
        }
        None => Ok(()),
    }
}
