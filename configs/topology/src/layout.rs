//! The fixed places of the guest-physical map, each with its reason. Everything else follows from
//! the cluster file ([`crate::Topology`]).
//!
//! ```text
//! 0            640K   1M            2G                             4G
//! | low RAM    | legacy | low RAM   | hole: IOAPIC LAPIC ghosts KVM | high RAM ...
//! ```
//!
//! Addresses and lengths are bytes; ports are x86 I/O ports.

use crate::Gpa;

/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;

/// Low RAM ends here and the hole for devices begins, 2 GiB: where Debian's OVMF (2022.11 and
/// 2025.02) puts its PCI windows on a q35 machine.
pub const LOW_RAM_END: Gpa = Gpa(0x8000_0000);
/// High RAM begins here, 4 GiB: everything below is reachable by 32-bit devices.
pub const HIGH_RAM_BASE: Gpa = Gpa(0x1_0000_0000);

/// The end of conventional memory that a PC's firmware leaves to the system (the EBDA follows).
pub const EBDA: Gpa = Gpa(0x9_FC00);
/// Legacy video memory and option ROMs begin: RAM in the backing file, reserved in e820.
pub const LEGACY: Gpa = Gpa(0xA_0000);
/// Legacy memory ends, 1 MiB: where kernels are loaded.
pub const LEGACY_END: Gpa = Gpa(0x10_0000);

/// Bytes at the end of the root node's first range that hold the ACPI tables.
pub const ACPI_LEN: u64 = MIB;
/// Where in them the FACS has a page of its own: the others are RAM again once the guest has read them,
/// the FACS is in use as long as the guest runs. The RSDP lies before it.
pub const FACS_OFFSET: u64 = 0x1000;
/// Bytes at [`FACS_OFFSET`] that are the FACS's.
pub const FACS_LEN: u64 = 0x1000;

/// The IOAPIC's registers, where every PC has them.
pub const IOAPIC: Gpa = Gpa(0xFEC0_0000);
/// The IOAPIC's APIC ID as the MADT tells it.
pub const IOAPIC_ID: u8 = 0;
/// The IOAPIC's inputs: the 24 of the 82093AA.
pub const IOAPIC_PINS: u32 = 24;
/// The first global system interrupt of the IOAPIC.
pub const IOAPIC_GSI_BASE: u32 = 0;
/// The local APIC's page, where the architecture puts it (unused in x2APIC mode, still claimed).
pub const LAPIC: Gpa = Gpa(0xFEE0_0000);

/// The code, IDT and stacks of ghost vCPUs: outside RAM, in no node's SRAT range.
pub const GHOST_STUB: Gpa = Gpa(0xFEF0_0000);
/// Bytes of [`GHOST_STUB`].
pub const GHOST_STUB_LEN: u64 = MIB;
/// The page with the reset vector, in which a ghost starts when its vCPU is reset.
pub const GHOST_RESET: Gpa = Gpa(0xFFFF_F000);
/// Bytes of [`GHOST_RESET`].
pub const GHOST_RESET_LEN: u64 = 0x1000;

/// `KVM_SET_IDENTITY_MAP_ADDR`: one page that KVM on Intel uses for real mode.
pub const KVM_IDENTITY_MAP: Gpa = Gpa(0xFFFB_C000);
/// `KVM_SET_TSS_ADDR`: three pages, right after the identity map.
pub const KVM_TSS: Gpa = Gpa(0xFFFB_D000);
/// Bytes of [`KVM_IDENTITY_MAP`] and [`KVM_TSS`] together.
pub const KVM_PRIVATE_LEN: u64 = 4 * 0x1000;

/// COM1, a 16550: eight ports.
pub const COM1_PORT: u16 = 0x3F8;
/// Ports of [`COM1_PORT`].
pub const COM1_LEN: u16 = 8;
/// COM1's interrupt (edge, as on every PC).
pub const COM1_IRQ: u32 = 4;

/// The RTC's index port; its data port is the next.
pub const RTC_PORT: u16 = 0x70;
/// Ports of [`RTC_PORT`].
pub const RTC_LEN: u16 = 2;
/// The RTC's interrupt.
pub const RTC_IRQ: u32 = 8;

/// PM1a event block (ACPI 6.5 4.8.3.1): status and enable, two bytes each.
pub const PM1A_EVT_PORT: u16 = 0x600;
/// Ports of [`PM1A_EVT_PORT`].
pub const PM1A_EVT_LEN: u8 = 4;
/// PM1a control block (ACPI 6.5 4.8.3.2).
pub const PM1A_CNT_PORT: u16 = 0x604;
/// Ports of [`PM1A_CNT_PORT`].
pub const PM1A_CNT_LEN: u8 = 2;
/// What the guest writes to SLP_TYP (bits 12:10 of PM1a control) with SLP_EN (bit 13) to power the
/// machine off: the value of `\_S5` in the DSDT (ACPI 6.5 7.4.2). No other sleep state is offered.
pub const S5_SLP_TYP: u8 = 5;
/// PM timer (ACPI 6.5 4.8.3.3): 3.579545 MHz.
pub const PM_TMR_PORT: u16 = 0x608;
/// Ports of [`PM_TMR_PORT`].
pub const PM_TMR_LEN: u8 = 4;

/// The reset register: a PC's reset control port.
pub const RESET_PORT: u16 = 0xCF9;
/// What the guest writes to [`RESET_PORT`] to reset the machine.
pub const RESET_VALUE: u8 = 0x06;

/// The ACPI interrupt's GSI; level, active high.
pub const SCI_GSI: u32 = 9;
