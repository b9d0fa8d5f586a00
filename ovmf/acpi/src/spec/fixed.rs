//! The chipset: FADT and FACS.

use super::{Gas, SdtHeader};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// ACPI 6.5 5.2.9 "Fixed ACPI Description Table (FADT)", after the header. A block of address zero
/// isn't there.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[expect(missing_docs, reason = "the names are the specification's own, in its order")]
pub struct Fadt {
    pub firmware_ctrl: U32,
    pub dsdt: U32,
    pub reserved0: u8,
    pub preferred_pm_profile: u8,
    pub sci_int: U16,
    pub smi_cmd: U32,
    pub acpi_enable: u8,
    pub acpi_disable: u8,
    pub s4bios_req: u8,
    pub pstate_cnt: u8,
    pub pm1a_evt_blk: U32,
    pub pm1b_evt_blk: U32,
    pub pm1a_cnt_blk: U32,
    pub pm1b_cnt_blk: U32,
    pub pm2_cnt_blk: U32,
    pub pm_tmr_blk: U32,
    pub gpe0_blk: U32,
    pub gpe1_blk: U32,
    pub pm1_evt_len: u8,
    pub pm1_cnt_len: u8,
    pub pm2_cnt_len: u8,
    pub pm_tmr_len: u8,
    pub gpe0_blk_len: u8,
    pub gpe1_blk_len: u8,
    pub gpe1_base: u8,
    pub cst_cnt: u8,
    pub p_lvl2_lat: U16,
    pub p_lvl3_lat: U16,
    pub flush_size: U16,
    pub flush_stride: U16,
    pub duty_offset: u8,
    pub duty_width: u8,
    pub day_alrm: u8,
    pub mon_alrm: u8,
    pub century: u8,
    pub iapc_boot_arch: U16,
    pub reserved1: u8,
    pub flags: U32,
    pub reset_reg: Gas,
    pub reset_value: u8,
    pub arm_boot_arch: U16,
    pub minor_version: u8,
    pub x_firmware_ctrl: U64,
    pub x_dsdt: U64,
    pub x_pm1a_evt_blk: Gas,
    pub x_pm1b_evt_blk: Gas,
    pub x_pm1a_cnt_blk: Gas,
    pub x_pm1b_cnt_blk: Gas,
    pub x_pm2_cnt_blk: Gas,
    pub x_pm_tmr_blk: Gas,
    pub x_gpe0_blk: Gas,
    pub x_gpe1_blk: Gas,
    pub sleep_control_reg: Gas,
    pub sleep_status_reg: Gas,
    pub hypervisor_vendor_identity: [u8; 8],
}
const _: () = assert!(size_of::<SdtHeader>() + size_of::<Fadt>() == 276);

/// 5.2.9.1 "Preferred PM Profile System Types": a server.
pub const PM_PROFILE_ENTERPRISE_SERVER: u8 = 4;

/// ACPI 6.5 5.2.9 "Fixed ACPI Description Table Fixed Feature Flags": the bits that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FadtFlag {
    /// WBINVD works.
    Wbinvd = 0,
    /// C1 (`hlt`) works on all processors.
    ProcC1 = 2,
    /// Set: there is **no** fixed power button.
    PwrButton = 4,
    /// Set: there is **no** fixed sleep button.
    SlpButton = 5,
    /// Set: the RTC can **not** wake the machine through the fixed registers.
    FixRtc = 6,
    /// The PM timer has 32 bits, not 24.
    TmrValExt = 8,
    /// `reset_reg` works.
    ResetRegSup = 10,
    /// The platform's clock, not the processors' own, is the one to use.
    UsePlatformClock = 15,
    /// Interrupts are addressed to APIC IDs, never to logical groups.
    ForceApicPhysicalDestinationMode = 19,
}

/// ACPI 6.5 5.2.9.3 "IA-PC Boot Architecture Flags".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootArch {
    /// User-visible devices on an ISA or LPC bus beyond those in the namespace.
    LegacyDevices = 0,
    /// A keyboard controller at 0x60 and 0x64.
    I8042 = 1,
    /// Set: there is **no** VGA; don't touch its memory.
    VgaNotPresent = 2,
    /// Set: there is **no** CMOS RTC.
    CmosRtcNotPresent = 5,
}

impl FadtFlag {
    /// Every flag above with the specification's name, for printing.
    pub const NAMES: [(FadtFlag, &'static str); 9] = [
        (FadtFlag::Wbinvd, "WBINVD"),
        (FadtFlag::ProcC1, "PROC_C1"),
        (FadtFlag::PwrButton, "PWR_BUTTON"),
        (FadtFlag::SlpButton, "SLP_BUTTON"),
        (FadtFlag::FixRtc, "FIX_RTC"),
        (FadtFlag::TmrValExt, "TMR_VAL_EXT"),
        (FadtFlag::ResetRegSup, "RESET_REG_SUP"),
        (FadtFlag::UsePlatformClock, "USE_PLATFORM_CLOCK"),
        (FadtFlag::ForceApicPhysicalDestinationMode, "FORCE_APIC_PHYSICAL_DESTINATION_MODE"),
    ];

    /// The bit in the field.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl BootArch {
    /// Every flag above with the specification's name, for printing.
    pub const NAMES: [(BootArch, &'static str); 4] = [
        (BootArch::LegacyDevices, "LEGACY_DEVICES"),
        (BootArch::I8042, "8042"),
        (BootArch::VgaNotPresent, "VGA_NOT_PRESENT"),
        (BootArch::CmosRtcNotPresent, "CMOS_RTC_NOT_PRESENT"),
    ];

    /// The bit in the field.
    pub const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// ACPI 6.5 5.2.10 "Firmware ACPI Control Structure (FACS)". It has no checksum: the guest writes it. So
/// it mustn't lie in memory that the guest may reuse; UEFI 2.10 2.3.4 wants it in ACPI NVS memory.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Facs {
    /// `"FACS"`.
    pub signature: [u8; 4],
    /// 64.
    pub length: U32,
    /// Zero: nothing to compare after a hibernation, which we don't offer.
    pub hardware_signature: U32,
    /// The guest's to write.
    pub waking_vector: U32,
    /// The guest's to write.
    pub global_lock: U32,
    /// Zero.
    pub flags: U32,
    /// The guest's to write.
    pub x_waking_vector: U64,
    /// 2.
    pub version: u8,
    /// Zero.
    pub reserved0: [u8; 3],
    /// The guest's to write.
    pub ospm_flags: U32,
    /// Zero.
    pub reserved1: [u8; 24],
}
const _: () = assert!(size_of::<Facs>() == 64);

impl Facs {
    /// 5.2.10: the guest locks words of it atomically.
    pub const ALIGN: usize = 64;
}
