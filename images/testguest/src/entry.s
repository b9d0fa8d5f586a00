// From the loader's 32-bit entry, or from SIPI's real mode, to Rust in 64-bit mode; interrupt stubs;
// the way to ring 3 and back. AT&T syntax.
//
// PVH entry: Xen, "x86/HVM direct boot ABI". Real mode, descriptors, gates: Intel SDM vol. 3 ch. 3, 6, 9.

// --- The loader finds the entry by this note: XEN_ELFNOTE_PHYS32_ENTRY ------------------------------
.section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long entry_pvh

// --- Page tables: the first 16 GiB one to one in 2 MiB pages, written by nobody -----------------------
// Accessed and dirty are set beforehand, so that no CPU writes them. User, for ring 3.
.section .tables, "aw"
    .balign 4096
.global pml4
pml4:
    .quad pdpt + 0x67
    .fill 511, 8, 0
pdpt:
    .set at, 0
    .rept 16
    .quad directories + at + 0x67
    .set at, at + 4096
    .endr
    .fill 496, 8, 0
directories:
    .set at, 0
    .rept 16 * 512
    .quad at + 0xe7
    .set at, at + 0x200000
    .endr

// --- Descriptors: accessed beforehand, too ------------------------------------------------------------
.section .rodata.entry, "a"
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff    // 0x08 code, 64-bit
    .quad 0x00cf93000000ffff    // 0x10 data
    .quad 0x00cf9b000000ffff    // 0x18 code, 32-bit
gdt_end:
gdt_pointer:
    .short gdt_end - gdt - 1
    .quad gdt

// --- 32-bit entry: ebx = hvm_start_info -------------------------------------------------------------
.section .text.entry, "ax"
.code32
.global entry_pvh
entry_pvh:
    cli
    cld
    movl %ebx, %edi
    xorl %esi, %esi
    lgdtl gdt_pointer
    jmp enter_long

ap_protected:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %edi, %edi

// edi: start information, 0 on an AP; esi: the page that SIPI named.
enter_long:
    movl $0x20, %eax            // PAE
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx      // EFER.LME
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl $0x80000031, %eax      // PG, NE, ET, PE; caches on
    movl %eax, %cr0
    ljmpl $0x08, $long_mode

.code64
long_mode:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax             // null, so that ring 3 leaves their bases alone
    movl %eax, %fs
    movl %eax, %gs
    testl %edi, %edi
    jz 1f
    movq $boot_stack_end, %rsp
    call boot
1:  movq next_stack, %rsp
    movq next_local, %rdi
    call arrive
    ud2

// --- Real mode: copied to the page that SIPI names ----------------------------------------------------
.section .rodata.entry, "a"
.code16
.global trampoline, trampoline_end
trampoline:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    movzwl %ax, %esi
    shll $4, %esi
    lgdtl trampoline_gdt - trampoline
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x18, $ap_protected
    .balign 4
trampoline_gdt:
    .short gdt_end - gdt - 1
    .long gdt
trampoline_end:
.code64

// --- Interrupts: one stub for each vector, 16 bytes apart; the return address of its call tells which --
.section .text, "ax"
    .balign 16
.global interrupt_stubs
interrupt_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    // These push an error code themselves.
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
    pushq $0
    .endif
    call interrupt_common
    .set vector, vector + 1
    .endr

interrupt_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    cld
    movq %rsp, %rdi
    call interrupt
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

// --- Ring 3: fn(job, me, words, stack); returns when the job has ------------------------------------
.global ring3_enter, ring3_leave
ring3_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %gs:8            // Local::ring0_stack
    pushq $0x23                 // data
    pushq %rcx
    pushq $0x202                // interrupts on
    pushq $0x2b                 // code
    pushq $ring3_start
    movq %rdi, %rax
    movq %rsi, %rdi
    movq %rdx, %rsi
    iretq
ring3_start:
    call *%rax
    int3
    ud2
// The gate of int3.
ring3_leave:
    movq %gs:8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    sti
    ret

// --- Stack of the boot CPU, and what the next AP finds -----------------------------------------------
.section .bss, "aw", @nobits
    .balign 4096
boot_stack:
    .skip 32768
boot_stack_end:
.global next_stack, next_local
next_stack:
    .skip 8
next_local:
    .skip 8
