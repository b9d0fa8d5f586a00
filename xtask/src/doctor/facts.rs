//! One function for each thing that the doctor looks at.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};

use pangea_boot::machine::{self, Kvm};

use super::Verdict;
use crate::setup::Need;
use crate::version::{self, Version};

/// Linux's version below which the runtime isn't meant to work.
const KERNEL_FLOOR: Version = (6, 1);
/// The version that maps a page read-only where it lies (UFFDIO_CONTINUE_MODE_WP).
const KERNEL_IN_PLACE: Version = (6, 4);
/// What two nodes of half a gigabyte and the lab around them take, in MiB.
const MEMORY_WANTED: u64 = 6 << 10;

/// Something found, what it means, and the command that would better it.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) found: String,
    pub(super) verdict: Verdict,
    pub(super) fix: Option<String>,
}

impl Fact {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, found: found.into(), verdict: Verdict::Good, fix: None }
    }

    fn note(name: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, ..Self::good(name, found) }
    }

    fn missing(name: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Missing, ..Self::good(name, found) }
    }

    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

pub(super) fn kernel() -> Fact {
    let release = read("/proc/sys/kernel/osrelease");
    let (major, minor) = KERNEL_FLOOR;
    match version::of_kernel(&release) {
        Some(version) if version >= KERNEL_FLOOR => {
            Fact::good("kernel", format!("Linux {release}"))
        }
        _ => Fact::missing("kernel", format!("Linux {release}, older than {major}.{minor}"))
            .fix("a newer kernel: Debian 12 and later, or Ubuntu 24.04 and later, have one"),
    }
}

pub(super) fn kvm(kvm: &Kvm) -> Fact {
    let found = kvm.to_string();
    match kvm {
        Kvm::Hardware(_) => Fact::good("KVM", found),
        Kvm::Software => Fact::note("KVM", found),
        Kvm::Refused(_) => Fact::note("KVM", found)
            .fix("sudo usermod -aG kvm \"$USER\"   (and log in again)"),
        Kvm::Absent => Fact::note("KVM", found).fix(
            "sudo modprobe kvm_intel || sudo modprobe kvm_amd   (virtualization on in the firmware)",
        ),
    }
}

pub(super) fn userfaultfd() -> Fact {
    const NAME: &str = "userfaultfd";
    let Some(way) = machine::userfaultfd() else {
        return Fact::missing(NAME, "this user may not trap the kernel's page faults")
            .fix("sudo sysctl vm.unprivileged_userfaultfd=1");
    };
    let in_place = version::of_kernel(&read("/proc/sys/kernel/osrelease")) >= Some(KERNEL_IN_PLACE);
    let how = if in_place { "where they lie" } else { "by copying (in place since Linux 6.4)" };
    Fact::good(NAME, format!("{way}; pages are shared read-only {how}"))
}

pub(super) fn need(need: Need, found: Option<&str>) -> Fact {
    let name = need.name();
    match (found, need.too_old()) {
        (Some(found), _) => Fact::good(name, found),
        (None, Some((old, least))) => {
            Fact::missing(name, format!("{old}: {least} or later is needed; {}", need.purpose()))
                .fix("cargo xtask test lab   (installs one from backports where there is one)")
        }
        (None, None) => {
            Fact::missing(name, format!("not found; {}", need.purpose())).fix(need.command())
        }
    }
}

pub(super) fn cores() -> Fact {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match cores {
        1 => Fact::note("cores", "1: two nodes on this machine would wait for each other"),
        _ => Fact::good("cores", cores.to_string()),
    }
}

pub(super) fn memory() -> Fact {
    let meminfo = read("/proc/meminfo");
    let mib = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
    };
    let (total, free) = (mib("MemTotal:").unwrap_or(0), mib("MemAvailable:").unwrap_or(0));
    let found = format!("{free} MiB of {total} MiB available");
    if free >= MEMORY_WANTED {
        return Fact::good("memory", found);
    }
    Fact::note("memory", format!("{found}; two nodes in the lab may need {MEMORY_WANTED} MiB"))
}

/// The ports that a node tries in turn.
pub(super) fn ports() -> Fact {
    let ports = 50_051_u16..=50_100;
    let all = ports.clone().count();
    let free = ports.filter(|&port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok());
    match free.count() {
        0 => Fact::missing("ports", "none of 50051-50100 is free")
            .fix("sudo ss -ltnp 'sport >= 50051 and sport <= 50100'   (shows who has them)"),
        free => Fact::good("ports", format!("{free} of {all} free from 50051 to 50100")),
    }
}

pub(super) fn clock() -> Fact {
    let show = ["show", "--property=NTPSynchronized", "--value"];
    let output = Command::new("timedatectl").args(show).stdin(Stdio::null()).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match said.as_deref() {
        Ok("yes") => Fact::good("clock", "synchronized"),
        Ok("no") => Fact::note("clock", "not synchronized: matters with nodes on several hosts")
            .fix("sudo timedatectl set-ntp true   (or chrony)"),
        _ => Fact::note("clock", "unknown (timedatectl doesn't say): matters with several hosts"),
    }
}

pub(super) fn io_uring() -> Fact {
    let found = match read("/proc/sys/kernel/io_uring_disabled").as_str() {
        "0" => "allowed",
        "1" => "for privileged users",
        "2" => "switched off",
        _ => "not told by this kernel",
    };
    Fact::note("io_uring", format!("{found}; nothing here uses it"))
}

pub(super) fn hugepages() -> Fact {
    let base = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    let (total, free) =
        (read(&format!("{base}/nr_hugepages")), read(&format!("{base}/free_hugepages")));
    let found =
        if total.is_empty() { "none".into() } else { format!("{free} of {total} of 2 MiB free") };
    Fact::note("hugepages", format!("{found}; nothing here uses them"))
}

/// A file of the kernel's, trimmed; empty if it can't be read.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
