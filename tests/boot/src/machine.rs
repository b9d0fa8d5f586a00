//! Can this machine run a guest by itself, or is it the lab that must? The one place that decides;
//! beside it, what else a node needs from a kernel.
//!
//! ```text
//!   /dev/kvm opens?      no  -> Refused, Absent ------+
//!   vmx or svm flag?     no  -> Software (KVM_PVM) ---+--> the lab
//!   otherwise                -> Hardware -----------------> here
//! ```
//! A stock kernel's real-mode and ring-0 code runs on the two hardware kinds only: KVM_PVM, which
//! stands in where a cloud offers no nested virtualization, emulates ring 0 one instruction at a
//! time and lacks too many.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;

/// What `/dev/kvm` is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kvm {
    /// It opens, and the CPU has this.
    Hardware(Extension),
    /// It opens, but guests' ring 0 is emulated in software.
    Software,
    /// It is there and this user may not open it.
    Refused(String),
    /// There is none.
    Absent,
}

/// A CPU's virtualization extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// Intel's.
    Vmx,
    /// AMD's.
    Svm,
}

impl Kvm {
    /// Looks at this machine.
    pub fn look() -> Self {
        let opened = OpenOptions::new().read(true).write(true).open("/dev/kvm").map(drop);
        // Unreadable is as good as without flags: then nothing is promised.
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self::of(opened, &cpuinfo)
    }

    fn of(opened: io::Result<()>, cpuinfo: &str) -> Self {
        match opened {
            Ok(()) => extension(cpuinfo).map_or(Self::Software, Self::Hardware),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            Err(error) => Self::Refused(error.to_string()),
        }
    }

    /// Does a stock guest run here, without the lab?
    pub fn runs_stock_guests(&self) -> bool {
        matches!(self, Self::Hardware(_))
    }

    /// Does a guest of our own, with a monitor of a few instructions, run here?
    pub fn runs_own_guests(&self) -> bool {
        matches!(self, Self::Hardware(_) | Self::Software)
    }
}

impl fmt::Display for Kvm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hardware(Extension::Vmx) => f.write_str("/dev/kvm opens, on VT-x"),
            Self::Hardware(Extension::Svm) => f.write_str("/dev/kvm opens, on SVM"),
            Self::Software => f.write_str(
                "/dev/kvm opens, but in software only: this CPU shows neither VT-x nor SVM",
            ),
            Self::Refused(reason) => write!(f, "/dev/kvm doesn't open: {reason}"),
            Self::Absent => f.write_str("there is no /dev/kvm"),
        }
    }
}

/// How this user may trap page faults, the kernel's own included; none if not at all.
pub fn userfaultfd() -> Option<&'static str> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/userfaultfd");
    let everybody = fs::read_to_string("/proc/sys/vm/unprivileged_userfaultfd");
    if device.is_ok() {
        Some("/dev/userfaultfd opens")
    } else if everybody.is_ok_and(|text| text.trim() == "1") || rustix::process::geteuid().is_root()
    {
        Some("the system call is allowed")
    } else {
        None
    }
}

/// The extension that the CPU's flags show.
fn extension(cpuinfo: &str) -> Option<Extension> {
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'))?.1;
    flags.split_ascii_whitespace().find_map(|flag| match flag {
        "vmx" => Some(Extension::Vmx),
        "svm" => Some(Extension::Svm),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn the_device_and_the_flags_decide() {
        let intel = "processor\t: 0\nflags\t\t: fpu vme vmx sse\nvmx flags\t: vnmi\n";
        let amd = "flags\t\t: fpu svm\n";
        // vmx_flags, or a flag that only begins alike, is no VT-x.
        let plain = "flags\t\t: fpu vmx_like hypervisor\nbugs: vmx\n";
        let table = [
            (Ok(()), intel, "/dev/kvm opens, on VT-x", true),
            (Ok(()), amd, "/dev/kvm opens, on SVM", true),
            (Ok(()), plain, "in software only", false),
            (Ok(()), "", "in software only", false),
            (Err(ErrorKind::NotFound), intel, "there is no /dev/kvm", false),
            (Err(ErrorKind::PermissionDenied), amd, "/dev/kvm doesn't open: permission", false),
        ];
        for (opened, cpuinfo, text, stock) in table {
            let kvm = Kvm::of(opened.map_err(io::Error::from), cpuinfo);
            assert!(kvm.to_string().contains(text), "{kvm}");
            assert_eq!(kvm.runs_stock_guests(), stock, "{kvm}");
        }
    }
}
