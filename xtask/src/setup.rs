//! Set-up: the packages that a command needs, named, asked for once, installed.
//!
//! ```text
//! needs -> those not met -> one question -> apt-get (root, or sudo), rustup -> checked again
//!                              | --yes or CI=true: not asked
//!                              | nobody to ask, no root, no apt: the list and the commands, exit 1
//! ```
//! Debian 12 and later, Ubuntu 22.04 and later. What is met is found by looking for the thing
//! itself, not for its package: somebody may have built it.

mod apt;

use std::io::{IsTerminal, Write, stdin};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

use pangea_images::testguest::TARGET;

use crate::report::advice;
use crate::version;

/// Something that must be on this machine, and that set-up can bring.
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
    /// Rust's core library for machines without an operating system.
    Freestanding,
}

/// Who brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A package; Debian's and Ubuntu's names are the same.
    Package(&'static str),
    /// A target of the Rust toolchain.
    Rustup(&'static str),
}

impl Need {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Qemu, Self::Iasl, Self::Cpio, Self::Cc, Self::Freestanding];

    fn source(self) -> Source {
        match self {
            Self::Qemu => Source::Package("qemu-system-x86"),
            Self::Iasl => Source::Package("acpica-tools"),
            Self::Cpio => Source::Package("cpio"),
            Self::Cc => Source::Package("build-essential"),
            Self::Freestanding => Source::Rustup(TARGET),
        }
    }

    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Qemu => "QEMU",
            Self::Iasl => "iasl",
            Self::Cpio => "cpio",
            Self::Cc => "C compiler",
            Self::Freestanding => "Rust target",
        }
    }

    /// What it is needed for.
    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Self::Qemu => "the lab: guests without VT-x or SVM",
            Self::Iasl => "checking ACPI tables",
            Self::Cpio => "checking initramfs archives",
            Self::Cc => "building and linking",
            Self::Freestanding => "the test guest for /dev/kvm",
        }
    }

    /// The command that brings it.
    pub(crate) fn command(self) -> String {
        match self.source() {
            Source::Package(package) => format!("sudo apt-get install {package}"),
            Source::Rustup(target) => format!("rustup target add {target}"),
        }
    }

    /// The package that is wanted for it, if it comes by one.
    fn wanted(self) -> Option<apt::Wanted> {
        let Source::Package(package) = self.source() else { return None };
        Some(apt::Wanted { package, least: self.least() })
    }

    /// The target that is wanted for it, if it comes by one.
    fn target(self) -> Option<&'static str> {
        let Source::Rustup(target) = self.source() else { return None };
        Some(target)
    }

    /// What was found of it and serves: a version or a path.
    pub(crate) fn found(self) -> Option<String> {
        self.look().filter(|found| {
            self.least().is_none_or(|least| version::serves(version::of_program(found), least))
        })
    }

    /// What was found, but is too old, and the first version that isn't.
    pub(crate) fn too_old(self) -> Option<(String, u32)> {
        let (found, least) = (self.look()?, self.least()?);
        (!version::serves(version::of_program(&found), least)).then_some((found, least))
    }

    /// The first major version that serves, where that matters.
    fn least(self) -> Option<u32> {
        match self {
            // 7.2 stands still when the second emulated CPU starts while time is counted in
            // instructions. Seen to work: 10.0.
            Self::Qemu => Some(8),
            Self::Iasl | Self::Cpio | Self::Cc | Self::Freestanding => None,
        }
    }

    fn look(self) -> Option<String> {
        match self {
            Self::Qemu => told(pangea_boot::lab::PROGRAM, &["--version"]),
            Self::Iasl => told("iasl", &["-v"]),
            Self::Cpio => told("cpio", &["--version"]),
            Self::Cc => told("cc", &["--version"]),
            Self::Freestanding => {
                let libraries = ["--print", "target-libdir", "--target", TARGET];
                told("rustc", &libraries).filter(|path| Path::new(path).is_dir())
            }
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
    eprintln!("this needs {} more:", count(missing.len(), "thing"));
    for need in &missing {
        let (Source::Package(name) | Source::Rustup(name)) = need.source();
        eprintln!("  {name:20} {}", need.purpose());
    }
    let packages: Vec<apt::Wanted> = missing.iter().filter_map(|need| need.wanted()).collect();
    let targets: Vec<&str> = missing.iter().filter_map(|need| need.target()).collect();
    let by_hand = || by_hand(&packages, &targets);
    let root = if packages.is_empty() { None } else { apt::Root::look() };
    if root.is_none() && !packages.is_empty() {
        return Err(advice("packages are missing, and this user can't install any", by_hand()));
    }
    if !consent.given() {
        if !stdin().is_terminal() {
            let help = format!("{}; or add --yes", by_hand());
            return Err(advice("something is missing, and there is nobody to ask", help));
        }
        if !asked("install them now?")? {
            return Err(advice("something is missing", by_hand()));
        }
    }
    if let Some(root) = &root {
        apt::install(root, &packages)?;
    }
    for target in targets {
        add_target(target)?;
    }
    let still = missing.iter().find(|need| need.found().is_none());
    still.map_or(Ok(()), |need| {
        let problem = match need.too_old() {
            Some((found, least)) => {
                format!("{} is there as {found}: {least} or later is needed", need.name())
            }
            None => format!("{} was installed, but isn't found", need.name()),
        };
        Err(advice(problem, "cargo xtask doctor says what was looked for"))
    })
}

fn by_hand(packages: &[apt::Wanted], targets: &[&str]) -> String {
    let mut commands = Vec::new();
    if !packages.is_empty() {
        let names: Vec<&str> = packages.iter().map(|wanted| wanted.package).collect();
        commands.push(format!("apt-get install {}   (as root)", names.join(" ")));
    }
    commands.extend(targets.iter().map(|target| format!("rustup target add {target}")));
    commands.join("; ")
}

/// rustup does it by itself from `rust-toolchain.toml`, unless it is told not to.
fn add_target(target: &str) -> anyhow::Result<()> {
    eprintln!("set-up: add the Rust target {target}");
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", target]).stdin(Stdio::null());
    let status = rustup.status();
    if status.as_ref().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let problem = match status {
        Ok(status) => format!("rustup can't add the target {target}: {status}"),
        Err(error) => format!("can't start rustup to add the target {target}: {error}"),
    };
    Err(advice(problem, "install the target the way that Rust itself was installed"))
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

/// The first line with a number that a program prints: its version, or what was asked for.
fn told(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.contains(|c: char| c.is_ascii_digit())).map(str::to_owned)
}
