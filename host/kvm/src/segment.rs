//! Segments and control registers of a vCPU that starts in 64-bit or 32-bit protected mode.
//!
//! Intel SDM vol. 3 2.5 "Control Registers", 3.4.5 "Segment Descriptors", 10.4.4 "Local APIC Status
//! and Location".

use crate::stub::{CODE_SELECTOR, DATA_SELECTOR};
use kvm_bindings::{kvm_segment, kvm_sregs};
use pangea_topology::layout;

/// APIC base: enabled (bit 11), x2APIC mode (bit 10). Every vCPU is in it from its first instruction:
/// a mixture of modes would give the nodes different ideas of who has which ID.
pub(crate) const APIC_BASE: u64 = layout::LAPIC.0 | 1 << 11 | 1 << 10;
/// APIC base: this is the boot CPU.
pub(crate) const APIC_BASE_BSP: u64 = 1 << 8;

const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_WP: u64 = 1 << 16;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;

/// Flat 64-bit code.
fn code64() -> kvm_segment {
    kvm_segment { l: 1, db: 0, ..code32() }
}

/// Flat 32-bit code.
fn code32() -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector: CODE_SELECTOR,
        type_: 11,
        present: 1,
        s: 1,
        db: 1,
        g: 1,
        ..Default::default()
    }
}

/// Flat data.
fn data() -> kvm_segment {
    kvm_segment { selector: DATA_SELECTOR, type_: 3, ..code32() }
}

fn flat(sregs: &mut kvm_sregs, code: kvm_segment) {
    sregs.cs = code;
    for segment in [&mut sregs.ds, &mut sregs.es, &mut sregs.fs, &mut sregs.gs, &mut sregs.ss] {
        *segment = data();
    }
}

/// 64-bit mode on the page table at `cr3`, flat segments. Descriptor tables are the caller's.
pub(crate) fn long_mode(sregs: &mut kvm_sregs, cr3: u64) {
    flat(sregs, code64());
    sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    sregs.cr3 = cr3;
    sregs.cr4 = CR4_PAE;
    sregs.efer = EFER_LME | EFER_LMA;
}

/// 32-bit protected mode without paging: the state that PVH asks for (Xen, "x86/HVM direct boot
/// ABI").
pub(crate) fn protected_mode(sregs: &mut kvm_sregs) {
    flat(sregs, code32());
    sregs.tr = kvm_segment { limit: 0x67, type_: 11, present: 1, ..Default::default() };
    sregs.cr0 = CR0_PE | CR0_ET;
    sregs.cr3 = 0;
    sregs.cr4 = 0;
    sregs.efer = 0;
}
