//! Set-up: the packages that a command needs, named, asked for once, installed.
//!
//! ```text
//! needs -> those not met -> one question -> apt-get (root, or sudo) -> checked again
//!                              | --yes or CI=true: not asked
//!                              | nobody to ask, no root, no apt: the list and the command, exit 1
//! ```
//! Debian 12 and later, Ubuntu 22.04 and later. What is met is found by looking for the thing
//! itself, not for its package: somebody may have built it.

mod apt;

use std::io::{IsTerminal, Write, stdin};
use std::process::{Command, Stdio};

use anyhow::Context;

use pangea_images::testguest::TARGET;

use crate::report::advice;

/// Something that must be on this machine, and that a package brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The lab's emulator.
    Qemu,
    /// The ACPI compiler that the tables are round-tripped through.
    Iasl,
    /// A second opinion on the initramfs archives.
    Cpio,
    /// For the C parts of crates, and for linking.
    Cc,
}

impl Need {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Qemu, Self::Iasl, Self::Cpio, Self::Cc];

    /// The package that brings it; Debian's and Ubuntu's names are the same.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-system-x86",
            Self::Iasl => "acpica-tools",
            Self::Cpio => "cpio",
            Self::Cc => "build-essential",
        }
    }

    /// What it is needed for.
    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Self::Qemu => "the lab: guests without VT-x or SVM",
            Self::Iasl => "checking ACPI tables",
            Self::Cpio => "checking initramfs archives",
            Self::Cc => "building and linking",
        }
    }

    /// What was found of it and serves: a version or a path.
    pub(crate) fn found(self) -> Option<String> {
        self.look().filter(|found| self.least().is_none_or(|least| serves(found, least)))
    }

    /// What was found, but is too old, and the first version that isn't.
    pub(crate) fn too_old(self) -> Option<(String, u32)> {
        let (found, least) = (self.look()?, self.least()?);
        (!serves(&found, least)).then_some((found, least))
    }

    /// The first major version that serves, where that matters.
    fn least(self) -> Option<u32> {
        match self {
            // 7.2 stands still when the second emulated CPU starts while time is counted in
            // instructions. Seen to work: 10.0.
            Self::Qemu => Some(8),
            Self::Iasl | Self::Cpio | Self::Cc => None,
        }
    }

    fn look(self) -> Option<String> {
        match self {
            Self::Qemu => version(pangea_boot::lab::PROGRAM, "--version"),
            Self::Iasl => version("iasl", "-v"),
            Self::Cpio => version("cpio", "--version"),
            Self::Cc => version("cc", "--version"),
        }
    }
}

/// May packages be installed without asking?
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Consent {
    /// Install missing packages without asking (so does CI=true)
    #[arg(long)]
    yes: bool,
}

impl Consent {
    fn given(self) -> bool {
        self.yes || std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
    }
}

/// Sees to it that all `needs` are met.
pub(crate) fn provide(needs: &[Need], consent: Consent) -> anyhow::Result<()> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| need.found().is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package()).collect();
    let wanted: Vec<(&str, Option<u32>)> =
        missing.iter().map(|need| (need.package(), need.least())).collect();
    let list = packages.join(" ");
    eprintln!("this needs {} more:", count(packages.len(), "package"));
    for need in &missing {
        eprintln!("  {:18} {}", need.package(), need.purpose());
    }
    let by_hand = || format!("apt-get install {list}   (as root)");
    let root = apt::Root::look().ok_or_else(|| {
        let problem = "packages are missing, and this user can't install any";
        advice(problem, by_hand())
    })?;
    if !consent.given() {
        if !stdin().is_terminal() {
            let help = format!("{}; or add --yes", by_hand());
            return Err(advice("packages are missing, and there is nobody to ask", help));
        }
        if !asked("install them now?")? {
            return Err(advice("packages are missing", by_hand()));
        }
    }
    apt::install(&root, &wanted)?;
    let still = missing.iter().find(|need| need.found().is_none());
    still.map_or(Ok(()), |need| {
        let problem = match need.too_old() {
            Some((found, least)) => {
                format!("{} is installed as {found}: {least} or later is needed", need.package())
            }
            None => format!("{} is installed, but isn't found", need.package()),
        };
        Err(advice(problem, "cargo xtask doctor says what was looked for"))
    })
}

/// Fetches the target of the freestanding test guest. rustup does it by itself from
/// `rust-toolchain.toml`, unless it is told not to; without rustup, the build says what is missing.
pub(crate) fn freestanding_target() {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).stdin(Stdio::null());
    if !rustup.status().is_ok_and(|status| status.success()) {
        eprintln!("set-up: rustup can't add the target {TARGET}");
    }
}

fn asked(question: &str) -> anyhow::Result<bool> {
    eprint!("{question} [y/N] ");
    std::io::stderr().flush().context("can't ask")?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).context("can't read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// "1 package", "2 packages".
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Is this version line's ("QEMU emulator version 10.0.2 (...)") major number at least `least`? One that
/// can't be read may serve: somebody built it.
fn serves(line: &str, least: u32) -> bool {
    let after = line.split("version ").nth(1).unwrap_or(line);
    let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().map_or(true, |major: u32| major >= least)
}

/// The line in which a program tells its version, else its first.
fn version(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let named = lines().find(|line| line.contains("version"));
    named.or_else(|| lines().next()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::serves;

    #[test]
    fn a_program_is_as_old_as_it_says() {
        assert!(!serves("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", 8));
        assert!(serves("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)", 8));
        assert!(serves("QEMU, built by hand", 8));
    }
}
