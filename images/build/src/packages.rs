//! Packages of the distribution, fetched without root and without touching its package state.
//!
//! ```text
//! role -> meta package -> real packages -> .deb (by SHA-256) -> unpacked root
//!         (apt, private state directory)    \______ the cache ______/
//! ```
//!
//! The first fetch asks apt, with the host's own sources and keys, which packages are current, and
//! records name, version and SHA-256. From then on the record stands, no network is needed and the
//! same bytes come out, until [`Packages::refresh`] is asked for.
//!
//! In the cache directory: `apt/` (apt's private state), `resolved/` (the records), `debs/` and
//! `unpacked/` (both named by SHA-256), `lock`. All of it may be deleted at any time.

mod apt;
mod record;

use crate::{ImageError, Progress, Result, command};
use apt::Apt;
use record::{Deb, Record};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What to do when packages can't be had.
const HELP: &str = "connect to the network and try again; or let the guest do without packages: \
     name `kernel:` (a bzImage) and `initrd:` under `guest:` in the cluster file";
/// How long another build may hold the cache before the user is told about it.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// What a package is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The default guest's kernel: small, for virtual machines.
    GuestKernel,
    /// The lab host's kernel: one with KVM and 9p as modules.
    LabKernel,
    /// A static busybox: the shell and tools of every image.
    Busybox,
}

impl Role {
    /// The packages that fill it, by preference: Debian's name, then Ubuntu's.
    const fn candidates(self) -> &'static [&'static str] {
        match self {
            Role::GuestKernel => &["linux-image-cloud-amd64", "linux-image-virtual"],
            Role::LabKernel => &["linux-image-amd64", "linux-image-generic"],
            Role::Busybox => &["busybox-static"],
        }
    }

    /// The role's word, in messages and in the names of records.
    pub const fn word(self) -> &'static str {
        match self {
            Role::GuestKernel => "guest-kernel",
            Role::LabKernel => "lab-kernel",
            Role::Busybox => "busybox",
        }
    }
}

/// A package, fetched and unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The real package's name (`linux-image-6.1.0-56-cloud-amd64`), not the meta package's.
    pub name: String,
    /// Its version, as the distribution counts.
    pub version: String,
    /// SHA-256 of the `.deb`, in hex, as the signed index gives it.
    pub sha256: String,
    /// The `.deb` in the cache.
    pub deb: PathBuf,
    /// What it unpacks to, together with [`Package::parts`].
    pub root: PathBuf,
    /// Further packages in the same root, where the distribution splits modules from the kernel:
    /// (name, SHA-256).
    pub parts: Vec<(String, String)>,
}

impl Package {
    /// Name, version and SHA-256 in one line, for manifests and logs.
    pub fn source(&self) -> String {
        let mut text = format!("{} {} sha256:{}", self.name, self.version, self.sha256);
        for (name, sha256) in &self.parts {
            text.push_str(&format!(" + {name} sha256:{sha256}"));
        }
        text
    }
}

/// The packages of this system's distribution, cached.
#[derive(Debug)]
pub struct Packages {
    cache: PathBuf,
    refresh: bool,
    /// What apt complained about when it fetched the package lists; None: it hasn't yet.
    updated: Option<String>,
}

impl Packages {
    /// Opens (or makes) the cache directory.
    pub fn open(cache: &Path) -> Result<Packages> {
        for dir in ["apt", "resolved", "debs", "unpacked"].map(|dir| cache.join(dir)) {
            fs::create_dir_all(&dir).map_err(ImageError::io("create", &dir))?;
        }
        // apt wants absolute paths.
        let cache = fs::canonicalize(cache).map_err(ImageError::io("find", cache))?;
        Ok(Packages { cache, refresh: false, updated: None })
    }

    /// The user's cache directory: `$PANGEA_CACHE`, else `$XDG_CACHE_HOME/pangea`, else
    /// `~/.cache/pangea`.
    pub fn default_cache() -> PathBuf {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(own) = set("PANGEA_CACHE") {
            return own.into();
        }
        let base = set("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || PathBuf::from(set("HOME").unwrap_or("/tmp".into())).join(".cache");
        base.unwrap_or_else(home).join("pangea")
    }

    /// With `true`, the next fetch of each role asks apt again rather than using the record.
    #[must_use]
    pub fn refresh(mut self, refresh: bool) -> Packages {
        self.refresh = refresh;
        self
    }

    /// The package for a role: from the cache where it is there, else from the network.
    pub fn fetch(&mut self, role: Role, progress: Progress<'_>) -> Result<Package> {
        let _lock = self.lock(progress)?;
        let path = self.cache.join("resolved").join(format!("{}-{}.json", system(), role.word()));
        let record = match Record::read(&path)? {
            Some(record) if !self.refresh => record,
            _ => {
                let record = self.resolve(role, progress)?;
                record.write(&path)?;
                record
            }
        };
        for deb in &record.packages {
            self.download(deb, progress)?;
        }
        let root = self.unpack(&record, progress)?;
        let main = record.main(&path)?;
        Ok(Package {
            name: main.name.clone(),
            version: main.version.clone(),
            sha256: main.sha256.clone(),
            deb: self.deb_path(main),
            root,
            parts: record.parts().map(|deb| (deb.name.clone(), deb.sha256.clone())).collect(),
        })
    }

    /// One build at a time writes to the cache; the lock goes with the file.
    fn lock(&self, progress: Progress<'_>) -> Result<File> {
        let path = self.cache.join("lock");
        let file = File::create(&path).map_err(ImageError::io("create", &path))?;
        if file.try_lock().is_err() {
            std::thread::sleep(LOCK_PATIENCE);
            if file.try_lock().is_err() {
                progress("waiting for another pangea build that uses the same package cache");
                file.lock().map_err(ImageError::io("lock", &path))?;
            }
        }
        Ok(file)
    }

    fn resolve(&mut self, role: Role, progress: Progress<'_>) -> Result<Record> {
        let apt = Apt::open(&self.cache.join("apt"), progress)?;
        if self.updated.is_none() {
            let complaint = apt.update(progress)?;
            if self.refresh && !complaint.is_empty() {
                progress("not all package lists could be refreshed; the old ones are used");
            }
            self.updated = Some(complaint);
        }
        for name in role.candidates() {
            let Some(asked) = apt.show(name, progress)? else { continue };
            let packages = match role {
                Role::Busybox => vec![asked],
                Role::GuestKernel | Role::LabKernel => apt.kernel_parts(&asked, progress)?,
            };
            return Ok(Record::new(role.word(), name, packages));
        }
        let names = role.candidates().iter().map(|name| (*name).to_owned()).collect();
        let stderr = self.updated.clone().unwrap_or_default();
        Err(ImageError::NoPackage { role: role.word(), names, stderr, help: HELP })
    }

    fn deb_path(&self, deb: &Deb) -> PathBuf {
        self.cache.join("debs").join(format!("{}.deb", deb.sha256))
    }

    fn download(&self, deb: &Deb, progress: Progress<'_>) -> Result<()> {
        let path = self.deb_path(deb);
        if path.exists() {
            return Ok(());
        }
        let fetched = Apt::open(&self.cache.join("apt"), progress)?.download(deb, progress)?;
        check_sha256(&fetched, &deb.sha256)?;
        fs::rename(&fetched, &path).map_err(ImageError::io("keep", &path))
    }

    fn unpack(&self, record: &Record, progress: Progress<'_>) -> Result<PathBuf> {
        let root = self.cache.join("unpacked").join(record.key());
        if root.exists() {
            return Ok(root);
        }
        // Unpacked beside its place and then renamed: what has the name is whole.
        let beside = self.cache.join("unpacked");
        let dir = tempfile::Builder::new()
            .prefix("partial-")
            .tempdir_in(&beside)
            .map_err(ImageError::io("create a directory in", &beside))?;
        for deb in &record.packages {
            let path = self.deb_path(deb);
            check_sha256(&path, &deb.sha256)?;
            let doing = format!("unpack {}", deb.name);
            progress(&doing);
            let mut unpack = Command::new("dpkg-deb");
            unpack.arg("--extract").arg(&path).arg(dir.path());
            command::run(&mut unpack, &doing, HELP, progress, String::new)?;
        }
        fs::rename(dir.keep(), &root).map_err(ImageError::io("keep", &root))?;
        Ok(root)
    }
}

/// `debian-12`: a home directory may be shared by machines with different distributions.
fn system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '.';
        value.unwrap_or("unknown").chars().filter(plain).collect::<String>()
    };
    format!("{}-{}", field("ID"), field("VERSION_ID"))
}

fn check_sha256(path: &Path, expected: &str) -> Result<()> {
    let mut file = File::open(path).map_err(ImageError::io("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(ImageError::io("read", path))? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == expected {
        return Ok(());
    }
    let (path, expected) = (path.to_owned(), expected.to_owned());
    Err(ImageError::Sha256 { path, expected, found, help: "delete it and build again" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_changed_file_is_named_with_both_hashes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check_sha256(file.path(), abc).unwrap();
        let error = check_sha256(file.path(), &abc.replace('b', "c")).unwrap_err().to_string();
        assert!(error.contains(abc) && error.ends_with("delete it and build again"), "{error}");
    }

    #[test]
    fn the_system_is_a_plain_file_name() {
        let name = system();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)), "{name}");
    }
}
