//! What belongs to one CPU: in pages on its own node, found by the GS base.

#![allow(unsafe_code)] // A structure in pages of the arena, and GS.

use crate::arena;
use crate::cpu::write_msr;
use crate::failure::Outcome;
use crate::machine::{Cpu, Machine};
use crate::physical::PAGE;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

const GS_BASE: u32 = 0xc000_0101;
/// Pages of a CPU's stack in ring 0, of the one that interrupts of ring 3 use, and in ring 3.
const STACK_PAGES: u64 = 6;
const ENTRY_STACK_PAGES: u64 = 3;
const RING3_STACK_PAGES: u64 = 6;

/// Where the next job is put, and its end told.
#[repr(C)]
pub(crate) struct Mailbox {
    /// Jobs that were posted, and that are done.
    pub(crate) posted: AtomicU64,
    pub(crate) done: AtomicU64,
    /// The job's function, its ring, and its four words in and out.
    pub(crate) job: AtomicU64,
    pub(crate) ring: AtomicU64,
    pub(crate) words: [AtomicU64; 4],
}

/// What a CPU says when it has come up.
#[repr(C)]
pub(crate) struct Arrival {
    /// How often it came up.
    pub(crate) count: AtomicU64,
    /// The page where SIPI made it start.
    pub(crate) page: AtomicU64,
    /// Its ID by x2APIC's register, and by CPUID.
    pub(crate) x2apic_id: AtomicU64,
    pub(crate) cpuid_id: AtomicU64,
}

/// One CPU's own.
#[repr(C, align(4096))]
pub(crate) struct Local {
    /// Its own address, at GS:0.
    this: AtomicU64,
    /// GS:8, where ring 3 returns to.
    ring0_stack: AtomicU64,
    pub(crate) index: AtomicU64,
    pub(crate) apic_id: AtomicU64,
    /// Set when it halts for good.
    pub(crate) parked: AtomicU64,
    pub(crate) mailbox: Mailbox,
    pub(crate) arrival: Arrival,
    /// Interrupts by vector.
    pub(crate) interrupts: [AtomicU64; 256],
    /// Descriptor table and task state for ring 3.
    pub(crate) gdt: [AtomicU64; 8],
    pub(crate) tss: [AtomicU64; 14],
    /// Ends of its stacks, and its page for kvmclock.
    pub(crate) stack: AtomicU64,
    pub(crate) entry_stack: AtomicU64,
    pub(crate) ring3_stack: AtomicU64,
    pub(crate) clock_page: AtomicU64,
}

const _: () = assert!(size_of::<Local>() == PAGE as usize);
const _: () = assert!(core::mem::offset_of!(Local, ring0_stack) == 8);

impl Local {
    /// Makes it, on the CPU's own node where that has memory.
    pub(crate) fn new(machine: &Machine, index: usize, cpu: Cpu) -> Outcome<&'static Local> {
        let range = arena::range_near(machine, cpu.node);
        let page = arena::pages(machine, range, 1)?;
        // SAFETY: the page was handed out for this alone, is zeroed, and stays; zeroes make a `Local`.
        let local: &'static Local = unsafe { &*(page as *const Local) };
        let stack = |pages| Ok(arena::pages(machine, range, pages)? + pages * PAGE);
        let set = |field: &AtomicU64, value| field.store(value, Ordering::Relaxed);
        set(&local.this, page);
        set(&local.index, index as u64);
        set(&local.apic_id, cpu.apic_id.into());
        set(&local.stack, stack(STACK_PAGES)?);
        set(&local.entry_stack, stack(ENTRY_STACK_PAGES)?);
        set(&local.ring3_stack, stack(RING3_STACK_PAGES)?);
        set(&local.clock_page, stack(1)? - PAGE);
        Ok(local)
    }

    /// Makes it this CPU's.
    pub(crate) fn adopt(&'static self) {
        write_msr(GS_BASE, self.this.load(Ordering::Relaxed));
    }

    /// This CPU's. Every CPU adopts one before it can be interrupted.
    pub(crate) fn mine() -> &'static Local {
        let at: u64;
        // SAFETY: GS:0 is the address of a `Local` that lives for ever, see `adopt`.
        unsafe {
            asm!("mov {}, gs:[0]", out(reg) at, options(nostack, readonly, preserves_flags));
            &*(at as *const Local)
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn apic_id(&self) -> u32 {
        self.apic_id.load(Ordering::Relaxed) as u32
    }

    /// Interrupts of a vector so far.
    pub(crate) fn count(&self, vector: u8) -> u64 {
        self.interrupts[usize::from(vector)].load(Ordering::Acquire)
    }
}
