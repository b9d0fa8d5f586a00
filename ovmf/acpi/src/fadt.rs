//! The chipset as the guest sees it: a full-hardware ACPI machine with a PM timer, a power-off and a
//! reset register, and nothing else of a PC.
//!
//! Full hardware, not hardware-reduced: without a TSC frequency a reduced machine leaves Linux no
//! clock at all, and the PM timer is the one that every node agrees on.
//!
//! Spec: ACPI 6.5 5.2.9 (FADT), 5.2.10 (FACS), 4.8 (the registers).

use crate::spec::{
    self, ACCESS_BYTE, ACCESS_DWORD, ACCESS_WORD, BootArch, FADT_MINOR, Facs, Fadt, FadtFlag, Gas,
    PM_PROFILE_ENTERPRISE_SERVER, SPACE_IO,
};
use crate::table;
use pangea_topology::{Gpa, layout};
use zerocopy::{FromZeros, IntoBytes};

/// The flags, each with its reason.
const FLAGS: [(FadtFlag, &str); 9] = [
    (FadtFlag::Wbinvd, "any x86-64 processor has it, and 5.2.9 wants it of an IA-PC"),
    (FadtFlag::ProcC1, "`hlt` is the idle state"),
    (FadtFlag::PwrButton, "no button: nobody can press one"),
    (FadtFlag::SlpButton, "no button: nobody can press one"),
    (FadtFlag::FixRtc, "the machine doesn't sleep, so the RTC has nothing to wake"),
    (FadtFlag::TmrValExt, "the PM timer counts 32 bits: 20 minutes between wraps, not 5 seconds"),
    (FadtFlag::ResetRegSup, "the reset port is how a guest restarts"),
    (FadtFlag::UsePlatformClock, "the hosts' TSCs tick apart"),
    (
        FadtFlag::ForceApicPhysicalDestinationMode,
        "an MSI has 8 bits of destination: they name an APIC ID, they can't name an x2APIC cluster",
    ),
];

/// The boot architecture flags, each with its reason. Left clear: LEGACY_DEVICES and 8042 (the
/// namespace lists all there is) and CMOS_RTC_NOT_PRESENT (there is an RTC).
const BOOT_ARCH: [(BootArch, &str); 1] =
    [(BootArch::VgaNotPresent, "0xA0000 is reserved memory, not a frame buffer")];

/// P_LVL2_LAT (5.2.9): a latency over 100 us says that there is no C2.
const NO_C2: u16 = 101;
/// P_LVL3_LAT (5.2.9): a latency over 1,000 us says that there is no C3.
const NO_C3: u16 = 1001;

/// Hypervisor Vendor Identity (5.2.9).
const HYPERVISOR: [u8; 8] = *b"PANGEA\0\0";

/// The FADT of a machine whose FACS and DSDT lie there.
pub(crate) fn fadt(facs: Gpa, dsdt: Gpa) -> Vec<u8> {
    let fadt = Fadt {
        preferred_pm_profile: PM_PROFILE_ENTERPRISE_SERVER,
        sci_int: (layout::SCI_GSI as u16).into(),
        // No SMI command port: the machine is in ACPI mode from the start (5.2.9).
        smi_cmd: 0.into(),
        pm1a_evt_blk: u32::from(layout::PM1A_EVT_PORT).into(),
        pm1a_cnt_blk: u32::from(layout::PM1A_CNT_PORT).into(),
        pm_tmr_blk: u32::from(layout::PM_TMR_PORT).into(),
        pm1_evt_len: layout::PM1A_EVT_LEN,
        pm1_cnt_len: layout::PM1A_CNT_LEN,
        pm_tmr_len: layout::PM_TMR_LEN,
        p_lvl2_lat: NO_C2.into(),
        p_lvl3_lat: NO_C3.into(),
        iapc_boot_arch: BOOT_ARCH.iter().fold(0, |bits, (flag, _)| bits | flag.bit()).into(),
        flags: FLAGS.iter().fold(0, |bits, (flag, _)| bits | flag.bit()).into(),
        reset_reg: port(layout::RESET_PORT, 1, ACCESS_BYTE),
        reset_value: layout::RESET_VALUE,
        minor_version: FADT_MINOR,
        // Only the 64-bit pointers: one truth, and a guest that knows them must ignore the others.
        x_firmware_ctrl: facs.0.into(),
        x_dsdt: dsdt.0.into(),
        // Status and enable are two 16-bit registers in one block.
        x_pm1a_evt_blk: port(layout::PM1A_EVT_PORT, layout::PM1A_EVT_LEN, ACCESS_WORD),
        x_pm1a_cnt_blk: port(layout::PM1A_CNT_PORT, layout::PM1A_CNT_LEN, ACCESS_WORD),
        x_pm_tmr_blk: port(layout::PM_TMR_PORT, layout::PM_TMR_LEN, ACCESS_DWORD),
        hypervisor_vendor_identity: HYPERVISOR,
        ..Fadt::new_zeroed()
    };
    table(spec::FADT, fadt.as_bytes())
}

/// The FACS: all of it is the guest's, but signature, length and version.
pub(crate) fn facs() -> Vec<u8> {
    let facs = Facs {
        signature: spec::FACS.signature(),
        length: (size_of::<Facs>() as u32).into(),
        version: spec::FACS.revision,
        ..Facs::new_zeroed()
    };
    facs.as_bytes().to_vec()
}

/// A register block in I/O space.
fn port(address: u16, bytes: u8, access: u8) -> Gas {
    Gas {
        space: SPACE_IO,
        bit_width: bytes * 8,
        bit_offset: 0,
        access,
        address: u64::from(address).into(),
    }
}
