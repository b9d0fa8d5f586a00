//! A defect of the emulator, and how its victims are told from ours.
//!
//! When QEMU (seen in 10.0.2; `helper_vmrun` in `svm_helper.c`) injects an interrupt into a nested guest,
//! it leaves the vector noted as an exception that is still to be delivered. The guest's next exit or fault
//! wipes the note. But if the emulated CPU leaves its loop before that, because its share of instructions is
//! used up, the interrupt is delivered once more: wherever the guest is by then, and though its interrupts are
//! off. That is within some hundred instructions of the first delivery, so in the very handler; most
//! handlers bear it. A kernel that was on its way in from user mode doesn't: it hasn't its own GS base yet,
//! takes the second interrupt for one that came from kernel mode, and panics.
//!
//! With several emulated CPUs the shares are halved again and again up to each timer's deadline; with one,
//! a deadline is one share. So a lab host has one CPU.

/// Does a guest's console show that the emulator delivered an interrupt twice? No CPU ever takes an interrupt
/// at Linux's `error_entry` with interrupts off, which is what the panic's stack shows.
pub fn doubled_interrupt(console: &str) -> bool {
    let Some((_, panic)) = console.split_once("Code: ") else { return false };
    let mut frames = panic.lines();
    panic.contains("Kernel panic")
        && frames.any(|line| line.contains("RIP: 0010:error_entry+"))
        && frames.any(|line| line.contains("? asm_"))
}

#[cfg(test)]
mod tests {
    use super::doubled_interrupt;

    /// Seen in the lab with Linux 6.1, shortened.
    const PANIC: &str = "\
[    1.456600] Code: 41 55 49 89 f5 41 54 55
[    1.456648]  ? early_xen_iret_patch+0x5/0x5
[    1.456657]  sysvec_apic_timer_interrupt+0xa/0x90
[    1.456666]  asm_sysvec_apic_timer_interrupt+0x16/0x20
[    1.456676] RIP: 0010:error_entry+0x16/0x130
[    1.456690] RSP: 0000:fffffe0000002f88 EFLAGS: 00010046
[    1.456720]  ? asm_sysvec_apic_timer_interrupt+0xb/0x20
[    1.456728] RIP: 0033:0x2c0c60
[    1.456753]  </ENTRY_TRAMPOLINE>
[    1.780084] Kernel panic - not syncing: Fatal exception in interrupt
";

    #[test]
    fn a_panic_of_the_emulators_making_is_known_and_others_are_not() {
        assert!(doubled_interrupt(PANIC));
        assert!(!doubled_interrupt(&PANIC.replace("error_entry", "do_fault")));
        assert!(!doubled_interrupt("probe: FAILED litmus"));
    }
}
