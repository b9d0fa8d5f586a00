//! apt-get, as root or by sudo.
//!
//! Two traps. Where a part of QEMU (qemu-utils, say) came from backports, QEMU's other packages from
//! the release itself conflict with it; and a release's own version may be too old. Then all are taken from
//! backports, whose source is added if it isn't there; it is the release's own source with
//! another suite.

use std::fs;
use std::io::IsTerminal;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};

use crate::report::advice;
use crate::version;

/// A source that we add, and nobody else.
const BACKPORTS_FILE: &str = "/etc/apt/sources.list.d/pangea-backports.list";

/// How commands are run as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// We are root.
    Myself,
    /// By sudo, which may ask for a password.
    Sudo,
}

impl Root {
    /// The way that this user has, if any; none without apt.
    pub(super) fn look() -> Option<Self> {
        runs(Command::new("apt-get").arg("--version")).then_some(())?;
        if rustix::process::geteuid().is_root() {
            return Some(Self::Myself);
        }
        // Where there is a terminal, sudo may ask for a password.
        let mut sudo = Command::new("sudo");
        let allowed = if std::io::stdin().is_terminal() {
            runs(sudo.arg("--version"))
        } else {
            runs(sudo.args(["--non-interactive", "true"]))
        };
        allowed.then_some(Self::Sudo)
    }

    fn command(self, program: &str) -> Command {
        match self {
            Self::Myself => Command::new(program),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.arg(program);
                command
            }
        }
    }
}

/// A package, and the first major version of it that serves, where that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) package: &'static str,
    pub(super) least: Option<u32>,
}

/// Installs packages.
pub(super) fn install(root: &Root, wanted: &[Wanted]) -> anyhow::Result<()> {
    update(*root)?;
    let packages: Vec<&str> = wanted.iter().map(|wanted| wanted.package).collect();
    let packages = packages.as_slice();
    let mut suite = None;
    let plain = simulate(packages, None)?;
    let old = plain.status.success().then(|| too_old(&plain, wanted)).flatten();
    if !plain.status.success() || old.is_some() {
        let from = match old {
            Some(_) => backports()?,
            None => if_used(backports()?)?,
        };
        let Some(backports) = from else {
            return Err(old.unwrap_or_else(|| refused(packages, &plain)));
        };
        if !simulate(packages, Some(&backports.suite))?.status.success() {
            eprintln!("set-up: add {} as a package source: {BACKPORTS_FILE}", backports.suite);
            add_source(*root, &backports)?;
            update(*root)?;
        }
        let simulated = simulate(packages, Some(&backports.suite))?;
        if !simulated.status.success() {
            return Err(refused(packages, &simulated));
        }
        if let Some(old) = too_old(&simulated, wanted) {
            return Err(old);
        }
        suite = Some(backports.suite);
    }
    eprintln!("set-up: install {}", packages.join(" "));
    let mut install = root.command("env");
    install.arg("DEBIAN_FRONTEND=noninteractive").arg("apt-get");
    install.args(arguments(packages, suite.as_deref()));
    let output = run(&mut install)?;
    if output.status.success() { Ok(()) } else { Err(refused(packages, &output)) }
}

fn arguments(packages: &[&str], suite: Option<&str>) -> Vec<String> {
    let mut arguments =
        vec!["install".to_owned(), "--yes".to_owned(), "--no-install-recommends".to_owned()];
    // Somebody else's apt may be at work.
    arguments.extend(["-o".to_owned(), "DPkg::Lock::Timeout=300".to_owned()]);
    if let Some(suite) = suite {
        arguments.extend(["--target-release".to_owned(), suite.to_owned()]);
    }
    arguments.extend(packages.iter().map(|package| (*package).to_owned()));
    arguments
}

/// Would it work? Asks apt itself, which needs no root for it.
fn simulate(packages: &[&str], suite: Option<&str>) -> anyhow::Result<Output> {
    run(Command::new("apt-get").arg("--simulate").args(arguments(packages, suite)))
}

/// One source of several that can't be reached is no reason to stop: whether the packages are
/// found is.
fn update(root: Root) -> anyhow::Result<()> {
    eprintln!("set-up: read the package lists");
    run(root.command("apt-get").args(["update", "-o", "DPkg::Lock::Timeout=300"])).map(drop)
}

/// The release's backports, if it has a place for them.
fn backports() -> anyhow::Result<Option<Backports>> {
    let release = fs::read_to_string("/etc/os-release").context("can't read /etc/os-release")?;
    let policy = run(Command::new("apt-cache").args(["policy", "qemu-utils"]))?;
    Ok(Backports::of(&release, &String::from_utf8_lossy(&policy.stdout)))
}

/// Only where something of QEMU came from there, so that nothing else can be the conflict's reason.
fn if_used(backports: Option<Backports>) -> anyhow::Result<Option<Backports>> {
    let installed = run(Command::new("dpkg-query").args(["-W", "-f", "${Version}\\n", "qemu*"]))?;
    let used = String::from_utf8_lossy(&installed.stdout).contains("~bpo");
    Ok(backports.filter(|_| used))
}

/// What is wrong with the versions that apt would install, or keep.
fn too_old(simulated: &Output, wanted: &[Wanted]) -> Option<anyhow::Error> {
    let text = String::from_utf8_lossy(&simulated.stdout);
    wanted.iter().find_map(|&Wanted { package, least }| {
        let least = least?;
        let problem = match planned(&text, package) {
            Some(found) if version::serves(version::of_package(&found), least) => return None,
            Some(found) => format!("apt offers {package} {found}; {least} or later is needed"),
            // It is there and doesn't serve, or it wouldn't be wanted.
            None => format!("apt has nothing newer of {package}; {least} or later is needed"),
        };
        Some(advice(problem, "add a package source that has it, or put one into PATH"))
    })
}

/// The version that a simulation installs of a package; none if it wouldn't touch it.
fn planned(simulation: &str, package: &str) -> Option<String> {
    let line = simulation.lines().find(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("Inst") && words.next() == Some(package)
    })?;
    // "Inst NAME [OLD] (NEW Suite [arch])"
    let new = line.split('(').nth(1)?;
    new.split_whitespace().next().map(str::to_owned)
}

/// The backports of this release.
#[derive(Debug, PartialEq, Eq)]
struct Backports {
    suite: String,
    /// The line of its sources file.
    source: String,
}

impl Backports {
    /// From os-release and what `apt-cache policy` says about a package of the release.
    fn of(os_release: &str, policy: &str) -> Option<Self> {
        let codename =
            os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
        let suite = format!("{codename}-backports");
        let uri = policy.lines().find_map(|line| {
            // "        500 URI CODENAME/main amd64 Packages"
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, uri, place, ..] = words.as_slice() else { return None };
            (place.strip_suffix("/main") == Some(codename)).then(|| (*uri).to_owned())
        })?;
        Some(Self { source: format!("deb {uri} {suite} main\n"), suite })
    }
}

fn add_source(root: Root, backports: &Backports) -> anyhow::Result<()> {
    let mut file = tempfile::NamedTempFile::new().context("can't make a temporary file")?;
    std::io::Write::write_all(&mut file, backports.source.as_bytes())
        .context("can't write a temporary file")?;
    let output =
        run(root.command("install").args(["-m", "644"]).arg(file.path()).arg(BACKPORTS_FILE))?;
    if output.status.success() {
        return Ok(());
    }
    bail!("can't write {BACKPORTS_FILE}: {}", String::from_utf8_lossy(&output.stderr).trim())
}

fn refused(packages: &[&str], output: &Output) -> anyhow::Error {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let lines: Vec<&str> = said.iter().flat_map(|text| text.lines()).collect();
    let tail = lines[lines.len().saturating_sub(15)..].join("\n");
    let list = packages.join(" ");
    advice(format!("apt-get can't install {list}:\n{tail}"), format!("apt-get install {list}"))
}

fn run(command: &mut Command) -> anyhow::Result<Output> {
    // Told in English, so that its tail in an error is what others find when they search for it.
    command.env("LC_ALL", "C").stdin(Stdio::inherit());
    let program = command.get_program().to_string_lossy().into_owned();
    command.output().with_context(|| format!("can't start {program}"))
}

fn runs(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const POLICY: &str = "qemu-utils:
  Installed: 1:10.0.2+ds-2+deb13u1~bpo12+1
  Version table:
 *** 1:10.0.2+ds-2+deb13u1~bpo12+1 100
        100 /var/lib/dpkg/status
     1:7.2+dfsg-7 500
        500 https://mirror.example/security bookworm-security/main amd64 Packages
        500 https://mirror.example/debian bookworm/main amd64 Packages
";

    #[test]
    fn backports_come_from_where_the_release_comes_from() {
        let backports = Backports::of("ID=debian\nVERSION_CODENAME=bookworm\n", POLICY).unwrap();
        assert_eq!(backports.suite, "bookworm-backports");
        let source = "deb https://mirror.example/debian bookworm-backports main\n";
        assert_eq!(backports.source, source);
    }

    #[test]
    fn the_planned_version_is_read_from_the_simulation() {
        let simulation = "NOTE: This is only a simulation!
Inst qemu-system-data (1:7.2+dfsg-7 Debian:12.12/oldstable [all])
Inst qemu-system-x86 [1:7.1] (1:7.2+dfsg-7+b3 Debian:12.12/oldstable [amd64])
Conf qemu-system-x86 (1:7.2+dfsg-7+b3 Debian:12.12/oldstable [amd64])
";
        let found = planned(simulation, "qemu-system-x86").unwrap();
        assert_eq!(found, "1:7.2+dfsg-7+b3");
        let serves = |least| version::serves(version::of_package(&found), least);
        assert!(serves(7) && !serves(8));
        assert_eq!(planned(simulation, "acpica-tools"), None);
    }

    #[test]
    fn without_the_release_there_are_no_backports() {
        assert_eq!(Backports::of("VERSION_CODENAME=trixie\n", POLICY), None);
        assert_eq!(Backports::of("ID=arch\n", POLICY), None);
        assert_eq!(Backports::of("VERSION_CODENAME=bookworm\n", ""), None);
    }
}
