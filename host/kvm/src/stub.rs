//! The few bytes that a ghost vCPU runs, in memory of their own outside the guest's RAM.
//!
//! ```text
//! GHOST_STUB  + 0x00000  IDT: 256 gates                        4 KiB
//!             + 0x01000  GDT                                   4 KiB
//!             + 0x02000  PML4, PDPT, PD (maps 1 GiB at 3 GiB) 12 KiB
//!             + 0x05000  idle: sti; hlt; jmp idle              4 KiB
//!             + 0x06000  256 handlers of 64 bytes             16 KiB
//!             + 0x10000  stacks, 512 bytes for each vCPU      512 KiB
//! GHOST_RESET            the page of the reset vector: out INIT_PORT; hlt
//! ```
//!
//! A handler pushes what it uses, writes its vector to [`VECTOR_PORT`] (the exit that the runtime
//! forwards), ends the interrupt at the ghost's own LAPIC and returns. A ghost thus acknowledges at
//! once; the guest's acknowledgement happens on the node that runs the real vCPU.
//!
//! Interrupt delivery and gates: Intel SDM vol. 3 6.14 "Exception and Interrupt Handling in 64-bit
//! Mode"; EOI by MSR 80BH: 10.12.1.2 "x2APIC Register Address Space".

use pangea_topology::{ApicId, Gpa, layout};

/// Port of the exit that carries an interrupt's vector.
pub(crate) const VECTOR_PORT: u16 = 0x50;
/// Port of the exit that says: this ghost received INIT and came out at the reset vector.
pub(crate) const INIT_PORT: u16 = 0x52;

/// Bytes of the stub's region.
pub(crate) const STUB_LEN: u64 = 0x9_0000;
/// Bytes of one ghost's stack: an NMI that arrives in a handler nests once, 2 x 64 bytes.
const STACK_LEN: u64 = 512;
const _: () = assert!(STACKS + STACK_LEN * 1024 <= STUB_LEN);
const _: () = assert!(STUB_LEN <= layout::GHOST_STUB_LEN);

const GDT: u64 = 0x1000;
const PML4: u64 = 0x2000;
const PDPT: u64 = 0x3000;
const PD: u64 = 0x4000;
const IDLE: u64 = 0x5000;
const HANDLERS: u64 = 0x6000;
const HANDLER_LEN: u64 = 64;
const STACKS: u64 = 0x1_0000;

/// 64-bit code, accessed bit set so that the CPU never writes to the descriptor.
const CODE: u64 = 0x00af_9b00_0000_ffff;
/// Data, likewise.
const DATA: u64 = 0x00cf_9300_0000_ffff;
/// Selectors of the two.
pub(crate) const CODE_SELECTOR: u16 = 8;
/// Selector of the data segment.
pub(crate) const DATA_SELECTOR: u16 = 16;

/// Present, writable, accessed, dirty: the CPU has nothing left to set.
const TABLE: u64 = 0x63;
/// The same for a 2 MiB page.
const LARGE: u64 = 0xe3;

/// Where a ghost's registers point when it is parked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Park {
    /// Instruction pointer of the idle loop.
    pub(crate) rip: u64,
    /// Top of its own stack.
    pub(crate) rsp: u64,
    /// Page table root.
    pub(crate) cr3: u64,
    /// Interrupt descriptor table: base, limit.
    pub(crate) idt: (u64, u16),
    /// Global descriptor table: base, limit.
    pub(crate) gdt: (u64, u16),
}

/// Where this vCPU's ghost parks. `index` is its APIC ID, at most 1,023 by the cluster's limits.
pub(crate) fn park(cpu: ApicId) -> Park {
    let base = layout::GHOST_STUB.0;
    Park {
        rip: base + IDLE,
        rsp: base + STACKS + STACK_LEN * (u64::from(cpu.0) + 1),
        cr3: base + PML4,
        idt: (base, 0xfff),
        gdt: (base + GDT, 0x17),
    }
}

/// The stub's region as bytes, to be put at [`layout::GHOST_STUB`].
pub(crate) fn image() -> Vec<u8> {
    let base = layout::GHOST_STUB.0;
    let mut image = vec![0u8; STUB_LEN as usize];
    let mut put = |at: u64, bytes: &[u8]| {
        let at = at as usize;
        image[at..at + bytes.len()].copy_from_slice(bytes);
    };
    for (i, descriptor) in [0, CODE, DATA].into_iter().enumerate() {
        put(GDT + 8 * i as u64, &u64::to_le_bytes(descriptor));
    }
    // One GiB, identity-mapped: the one that holds the stub.
    let gib = base >> 30;
    put(PML4, &((base + PDPT) | TABLE).to_le_bytes());
    put(PDPT + 8 * gib, &((base + PD) | TABLE).to_le_bytes());
    for i in 0..512 {
        put(PD + 8 * i, &(((gib << 30) + (i << 21)) | LARGE).to_le_bytes());
    }
    put(IDLE, &[0xfb, 0xf4, 0xeb, 0xfc]); // sti; hlt; jmp idle
    for vector in 0..=255u8 {
        let handler = HANDLERS + HANDLER_LEN * u64::from(vector);
        put(handler, &handler_code(vector));
        put(16 * u64::from(vector), &gate(base + handler));
    }
    image
}

/// The page at [`layout::GHOST_RESET`]: what a ghost runs after INIT, in real mode at its end.
pub(crate) fn reset_page() -> Vec<u8> {
    let mut page = vec![0xf4u8; pangea_topology::PAGE_SIZE as usize]; // hlt
    let out = [0xe6, INIT_PORT as u8, 0xf4]; // out INIT_PORT, al; hlt
    page[0xff0..0xff0 + out.len()].copy_from_slice(&out);
    page
}

/// Where the two regions lie.
pub(crate) const STUB_BASE: Gpa = layout::GHOST_STUB;
/// The reset vector's page.
pub(crate) const RESET_BASE: Gpa = layout::GHOST_RESET;

fn handler_code(vector: u8) -> [u8; 23] {
    [
        0x50,
        0x51,
        0x52, // push rax, rcx, rdx
        0xb0,
        vector, // mov al, vector
        0xe6,
        VECTOR_PORT as u8, // out VECTOR_PORT, al
        0xb9,
        0x0b,
        0x08,
        0x00,
        0x00, // mov ecx, 0x80b (EOI)
        0x31,
        0xc0, // xor eax, eax
        0x31,
        0xd2, // xor edx, edx
        0x0f,
        0x30, // wrmsr
        0x5a,
        0x59,
        0x58, // pop rdx, rcx, rax
        0x48,
        0xcf, // iretq
    ]
}

/// A 64-bit interrupt gate (SDM vol. 3 figure 6-8), present, DPL 0, no IST.
fn gate(handler: u64) -> [u8; 16] {
    let low = handler & 0xffff
        | u64::from(CODE_SELECTOR) << 16
        | 0x8e << 40
        | (handler >> 16 & 0xffff) << 48;
    let mut gate = [0; 16];
    gate[..8].copy_from_slice(&low.to_le_bytes());
    gate[8..].copy_from_slice(&(handler >> 32).to_le_bytes());
    gate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gate_leads_to_the_handler_that_names_its_vector() {
        let image = image();
        for vector in 0..=255usize {
            let gate = &image[16 * vector..][..16];
            let handler = u64::from(u16::from_le_bytes([gate[0], gate[1]]))
                | u64::from(u16::from_le_bytes([gate[6], gate[7]])) << 16;
            let code = &image[(handler - layout::GHOST_STUB.0) as usize..][..23];
            assert_eq!(usize::from(code[4]), vector);
        }
    }

    #[test]
    fn stacks_of_the_first_and_the_last_vcpu_are_inside_the_region() {
        for cpu in [0, 1023] {
            let park = park(ApicId(cpu));
            assert!(park.rsp - 512 >= layout::GHOST_STUB.0 + STACKS);
            assert!(park.rsp <= layout::GHOST_STUB.0 + STUB_LEN);
        }
    }
}
