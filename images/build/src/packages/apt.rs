//! apt with a state directory of its own.
//!
//! Configuration is the host's (sources, keys, proxies), minus what would act on the host: its
//! directories, and the hooks that run after an update. apt reads it from one file, named by
//! `APT_CONFIG`, whose `Dir::Etc::main` and `Dir::Etc::parts` keep it from reading the host's
//! once more.
//!
//! Reference: apt.conf(5), apt-get(8) "download", deb822(5), Debian Policy 7.1 for `Depends`.

use super::record::Deb;
use crate::{ImageError, Progress, Result, command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NO_APT: &str = "kernels and busybox come from Debian 12, Debian 13 or Ubuntu by apt; on \
     another system, name `kernel:` and `initrd:` under `guest:` in the cluster file";
/// Configuration that must not be taken over: where apt keeps its state, what it runs afterwards
/// (as root, such hooks would clean the host's own package cache), and the indexes of more than
/// packages.
const NOT_OURS: [&str; 9] = [
    "APT::Architecture",
    "Dir::State",
    "Dir::Cache",
    "Dir::Log",
    "Dir::Etc::main",
    "Dir::Etc::parts",
    "APT::Update::",
    "DPkg::",
    "Acquire::IndexTargets",
];
/// The most packages that one kernel may be split into.
const MAX_PARTS: usize = 8;

/// apt, told to leave the system alone.
pub(super) struct Apt {
    dir: PathBuf,
    config: PathBuf,
}

impl Apt {
    /// Prepares the directory and its configuration.
    pub(super) fn open(dir: &Path, progress: Progress<'_>) -> Result<Apt> {
        let apt = Apt { dir: dir.to_owned(), config: dir.join("apt.conf") };
        for part in ["state/lists/partial", "cache/archives/partial", "none/apt.conf.d", "download"]
        {
            let path = apt.dir.join(part);
            fs::create_dir_all(&path).map_err(ImageError::io("create", &path))?;
        }
        let mut dump = Command::new("apt-config");
        dump.arg("dump");
        let doing = "read apt's configuration";
        let host = command::run(&mut dump, doing, NO_APT, progress, String::new)?.stdout;
        let text = configuration(&String::from_utf8_lossy(&host), dir);
        fs::write(&apt.config, text).map_err(ImageError::io("write", &apt.config))?;
        Ok(apt)
    }

    /// Fetches the package indexes of the host's sources, and returns what apt complained about.
    /// A source that can't be reached is a warning to apt, and one of many may well fail.
    pub(super) fn update(&self, progress: Progress<'_>) -> Result<String> {
        let doing = "fetch the package lists";
        progress(doing);
        let mut update = self.command("apt-get");
        update.args(["--quiet", "update"]);
        match command::run(&mut update, doing, super::HELP, progress, String::new) {
            Ok(output) => Ok(command::last_lines(&output.stderr)),
            Err(ImageError::Command { stderr, .. }) => Ok(stderr),
            Err(error) => Err(error),
        }
    }

    /// The candidate version of a package. None: no source has it.
    pub(super) fn show(&self, name: &str, progress: Progress<'_>) -> Result<Option<Deb>> {
        let mut show = self.command("apt-cache");
        show.args(["--no-all-versions", "show", name]);
        let doing = format!("look up {name}");
        match command::run(&mut show, &doing, super::HELP, progress, String::new) {
            Ok(output) => Ok(parse(&String::from_utf8_lossy(&output.stdout), name)),
            // apt-cache ends with 100 for a name that it doesn't know.
            Err(ImageError::Command { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The packages behind a kernel's meta package: the image, and what it is split into
    /// (Ubuntu: `linux-modules-VERSION`; recent Debian: `linux-binary-VERSION` as well).
    pub(super) fn kernel_parts(&self, meta: &Deb, progress: Progress<'_>) -> Result<Vec<Deb>> {
        let need = |name: &str, found: Option<Deb>| {
            found.ok_or_else(|| ImageError::NoPackage {
                role: "kernel",
                names: vec![name.to_owned()],
                stderr: format!("  {} {} names it", meta.name, meta.version),
                help: "the package lists are out of step with each other: try again with --refresh",
            })
        };
        let image = meta.depends.iter().find(|name| name.starts_with("linux-image-"));
        let name = image.unwrap_or(&meta.name);
        let version = name.strip_prefix("linux-image-").unwrap_or(name);
        let mut parts = vec![need(name, self.show(name, progress)?)?];
        let mut next = 0;
        while let Some(depends) = parts.get(next).map(|part| part.depends.clone()) {
            for name in depends.iter().filter(|name| is_part(name, version)) {
                if parts.len() < MAX_PARTS && !parts.iter().any(|part| part.name == *name) {
                    parts.push(need(name, self.show(name, progress)?)?);
                }
            }
            next += 1;
        }
        Ok(parts)
    }

    /// Downloads a package and returns the file, which the caller checks and moves away.
    pub(super) fn download(&self, deb: &Deb, progress: Progress<'_>) -> Result<PathBuf> {
        let dir = self.dir.join("download").join(&deb.sha256);
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(ImageError::io("empty", &dir))?;
        }
        fs::create_dir_all(&dir).map_err(ImageError::io("create", &dir))?;
        let mut download = self.command("apt-get");
        download.args(["--quiet", "download"]).current_dir(&dir);
        download.arg(format!("{}={}", deb.name, deb.version));
        let doing = format!("download {} ({} MiB)", deb.name, deb.size.div_ceil(1 << 20));
        progress(&doing);
        let so_far = || match bytes_in(&dir) {
            0 => String::new(),
            bytes => format!(": {} MiB", bytes >> 20),
        };
        command::run(&mut download, &doing, super::HELP, progress, so_far)?;
        let file = fs::read_dir(&dir).map_err(ImageError::io("list", &dir))?.flatten().next();
        file.map(|entry| entry.path())
            .ok_or_else(|| ImageError::content(&dir, "is empty, though apt-get downloaded into it"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).env("LC_ALL", "C.UTF-8");
        command
    }
}

fn configuration(host: &str, dir: &Path) -> String {
    let foreign = |line: &&str| !NOT_OURS.iter().any(|prefix| starts_with_any_case(line, prefix));
    let mut text: String = host.lines().filter(foreign).map(|line| format!("{line}\n")).collect();
    let ours = [
        ("Dir::Etc::main", dir.join("none/apt.conf").display().to_string()),
        ("Dir::Etc::parts", dir.join("none/apt.conf.d").display().to_string()),
        ("Dir::State", dir.join("state").display().to_string()),
        ("Dir::State::lists", dir.join("state/lists").display().to_string()),
        // Nothing is installed, as far as this apt knows.
        ("Dir::State::status", "/dev/null".to_owned()),
        ("Dir::Cache", dir.join("cache").display().to_string()),
        ("Dir::Log", dir.join("log").display().to_string()),
        // As root apt would become the user _apt, who can't write here.
        ("APT::Sandbox::User", String::new()),
        ("APT::Architecture", "amd64".to_owned()),
        ("APT::Architectures::", "amd64".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
    ];
    for (key, value) in ours {
        text.push_str(&format!("{key} \"{value}\";\n"));
    }
    text
}

fn starts_with_any_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Is this dependency another part of the same kernel, and one that an image can use?
fn is_part(name: &str, version: &str) -> bool {
    let kind = name.strip_prefix("linux-").and_then(|rest| rest.strip_suffix(version));
    matches!(kind, Some("modules-" | "binary-"))
}

/// Reads the stanza of a package. None: it is of another package, or lacks something.
fn parse(text: &str, name: &str) -> Option<Deb> {
    let stanza = text.split("\n\n").find(|stanza| field(stanza, "Package") == Some(name))?;
    let depends = field(stanza, "Depends").unwrap_or_default().split(',');
    let first_word =
        |text: &str| Some(text.split_whitespace().next()?.split(':').next()?.to_owned());
    let deb = Deb {
        name: name.to_owned(),
        version: field(stanza, "Version")?.to_owned(),
        sha256: field(stanza, "SHA256")?.to_owned(),
        size: field(stanza, "Size")?.parse().ok()?,
        depends: depends.filter_map(first_word).collect(),
    };
    deb.is_sound().then_some(deb)
}

fn field<'a>(stanza: &'a str, key: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

fn bytes_in(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_hosts_hooks_and_directories_are_left_out_and_its_proxy_kept() {
        let host = "Acquire::http::Proxy \"http://proxy:3128\";\n\
                    APT::Update::Post-Invoke:: \"rm -f /var/cache/apt/archives/*.deb\";\n\
                    DPkg::Post-Invoke:: \"true\";\n\
                    Dir::State::lists \"lists/\";\n\
                    Dir::Cache::pkgcache \"\";\n\
                    Dir::Etc::sourcelist \"sources.list\";\n";
        let text = configuration(host, Path::new("/c/apt"));
        expect_test::expect![[r#"
            Acquire::http::Proxy "http://proxy:3128";
            Dir::Etc::sourcelist "sources.list";
            Dir::Etc::main "/c/apt/none/apt.conf";
            Dir::Etc::parts "/c/apt/none/apt.conf.d";
            Dir::State "/c/apt/state";
            Dir::State::lists "/c/apt/state/lists";
            Dir::State::status "/dev/null";
            Dir::Cache "/c/apt/cache";
            Dir::Log "/c/apt/log";
            APT::Sandbox::User "";
            APT::Architecture "amd64";
            APT::Architectures:: "amd64";
            Acquire::Languages "none";
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_stanza_gives_name_version_hash_and_first_alternatives() {
        let text = "Package: linux-image-6.8.0-31-generic\n\
                    Version: 6.8.0-31.31\n\
                    Depends: kmod, linux-base (>= 4.5ubuntu1~16.04.1), linux-modules-6.8.0-31-generic,\
                     initramfs-tools | linux-initramfs-tool, python3:any\n\
                    Size: 14928056\n\
                    SHA256: 5bd5fd2bc1d5fbc6d3c2a3b5a6aac58b1f2b52a8bff8d2b1b5a2f1d0f4ea7c55\n\n\
                    Package: other\nVersion: 1\n";
        let deb = parse(text, "linux-image-6.8.0-31-generic").unwrap();
        assert_eq!(deb.version, "6.8.0-31.31");
        assert_eq!(deb.size, 14_928_056);
        let depends =
            ["kmod", "linux-base", "linux-modules-6.8.0-31-generic", "initramfs-tools", "python3"];
        assert_eq!(deb.depends, depends);
        assert_eq!(parse(text, "other"), None, "a stanza without a hash is no package to fetch");
        assert_eq!(parse("", "linux-image-generic"), None);
    }

    #[test]
    fn modules_of_the_same_version_are_parts_of_the_kernel() {
        let version = "6.8.0-31-generic";
        assert!(is_part("linux-modules-6.8.0-31-generic", version));
        assert!(is_part("linux-binary-6.8.0-31-generic", version));
        for other in
            ["linux-modules-6.8.0-30-generic", "linux-base", "linux-headers-6.8.0-31-generic"]
        {
            assert!(!is_part(other, version), "{other}");
        }
    }
}
