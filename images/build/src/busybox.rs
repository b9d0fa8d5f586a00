//! The shell and tools of every image: one static busybox and links to it.

use crate::cpio::Archive;
use crate::{ImageError, Packages, Progress, Result, Role};

/// What the images' scripts, and a person at their shell, use. Each must be in `busybox --list`.
const APPLETS: [&str; 68] = [
    "[",
    "ash",
    "awk",
    "base64",
    "basename",
    "cat",
    "chmod",
    "cmp",
    "cp",
    "cttyhack",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "dmesg",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "free",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hexdump",
    "hostname",
    "id",
    "ifconfig",
    "insmod",
    "ip",
    "kill",
    "less",
    "ln",
    "ls",
    "lsmod",
    "mkdir",
    "mknod",
    "mount",
    "mv",
    "nproc",
    "ping",
    "poweroff",
    "ps",
    "pwd",
    "reboot",
    "rm",
    "rmdir",
    "sed",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stty",
    "switch_root",
    "sync",
    "tail",
    "taskset",
    "tee",
    "timeout",
    "top",
    "true",
    "umount",
    "uname",
    "wc",
];

/// Puts busybox, its links and the directories that every /init mounts on into an archive;
/// returns the package's source line.
pub(crate) fn install(
    archive: &mut Archive,
    packages: &mut Packages,
    progress: Progress<'_>,
) -> Result<String> {
    let package = packages.fetch(Role::Busybox, progress)?;
    let places = ["usr/bin/busybox", "bin/busybox"].map(|path| package.root.join(path));
    let busybox = places.iter().find(|path| path.is_file()).ok_or_else(|| {
        ImageError::content(&package.root, "has no bin/busybox; build with --refresh")
    })?;
    archive.host_file("bin/busybox", 0o755, busybox)?;
    for applet in APPLETS {
        archive.symlink(&format!("bin/{applet}"), "busybox")?;
    }
    for dir in ["dev", "etc", "proc", "root", "sys", "tmp"] {
        archive.directory(dir)?;
    }
    // The kernel opens it for /init before anything is mounted.
    archive.character_device("dev/console", 0o600, (5, 1))?;
    Ok(package.source())
}
