//! The guest kernel's command line: a row per token, each with its reason.
//!
//! Only what this machine needs and Linux (6.1 to 6.12) doesn't find out by itself. What it does find
//! out, and so isn't here:
//!
//! | not set | because |
//! |---|---|
//! | `no_timer_check` | KVM guests set it themselves, and with the MADT's PCAT_COMPAT clear there is no IRQ 0 to check |
//! | `i8042.*`, `noapictimer`, `nohpet` | FADT and the absence of a table say what isn't there |
//! | `reboot=acpi` | is the default, and the FADT has a reset register |
//! | `clocksource=kvm-clock` | has the highest rating once the TSC is out |
//! | `no-kvmapf`, `no-steal-acc`, `nopvspin` | CPUID doesn't offer them |
//! | `earlyprintk` | `console=` is early enough: what fails before it is the runtime's to report |
//!
//! Spec: Linux `Documentation/admin-guide/kernel-parameters.txt`.

use pangea_topology::Cluster;

/// A default token and why it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// As the kernel reads it.
    pub text: &'static str,
    /// What would be wrong without it.
    pub reason: &'static str,
}

/// The defaults, in their order. What the cluster file adds comes after them, and of most
/// parameters the last one counts.
pub const DEFAULTS: [Token; 7] = [
    Token {
        text: "console=ttyS0",
        reason: "COM1 is the only console: there is no VGA and no other serial port",
    },
    Token {
        text: "panic=-1",
        reason: "a panic ends the run at once, by the reset register: nobody is there to press a key, \
                 and the other nodes would wait for ever",
    },
    Token {
        text: "tsc=unstable",
        reason: "the hosts' TSCs aren't one clock. It keeps Linux from ranking the TSC over kvmclock, \
                 and spares each CPU that comes up the warp test, in which two CPUs take turns on one \
                 cache line for milliseconds: here, remote page faults all the while",
    },
    Token {
        text: "no-kvmclock-vsyscall",
        reason: "user space would read the clock from vCPU 0's page with the TSC of whatever host it \
                 runs on; by the system call each CPU reads its own page",
    },
    Token {
        text: "numa_balancing=disable",
        reason: "it unmaps pages to see who touches them: page table writes and TLB shootdowns that go \
                 over the network, to learn what the pager knows",
    },
    Token {
        text: "nokaslr",
        reason: "the kernel would lie anywhere in RAM, and so on any node: the root node, which boots it, \
                 would fetch each page of it",
    },
    Token {
        text: "psi=0",
        reason: "pressure statistics are summed over all CPUs, in pages of each, several times a second",
    },
];

/// The command line of a cluster: the defaults, then what its file adds.
pub fn command_line(cluster: &Cluster) -> String {
    let boot_cpus = boot_cpus(cluster).map(|count| format!("maxcpus={count}"));
    let extra = cluster.guest.command_line.split_whitespace();
    let tokens = DEFAULTS.iter().map(|token| token.text);
    tokens.chain(boot_cpus.as_deref()).chain(extra).collect::<Vec<_>>().join(" ")
}

/// How many CPUs the kernel boots with: the root node's. Until its clock sources are up, Linux ticks on
/// every running CPU, and each tick of a CPU elsewhere needs kernel pages that the boot needs too: the boot
/// would take several times as long. The default initramfs starts the others first thing; a guest that
/// brings its own may not, so there the kernel starts them all.
fn boot_cpus(cluster: &Cluster) -> Option<u32> {
    let (root, others) = cluster.nodes.split_first()?;
    let elsewhere = others.iter().any(|node| node.vcpus > 0);
    (elsewhere && cluster.guest.initrd.is_none()).then_some(root.vcpus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangea_topology::{Failure, Guest, Links, limits};

    fn cluster(command_line: &str) -> Cluster {
        let guest = Guest { command_line: command_line.to_owned(), ..Guest::default() };
        let (links, failure) = (Links::default(), Failure::default());
        Cluster { name: "duo".to_owned(), guest, nodes: Vec::new(), links, failure }
    }

    #[test]
    fn the_file_has_the_last_word() {
        assert_eq!(
            command_line(&cluster("panic=10 quiet")),
            "console=ttyS0 panic=-1 tsc=unstable no-kvmclock-vsyscall numa_balancing=disable \
             nokaslr psi=0 panic=10 quiet"
        );
        assert!(command_line(&cluster("")).ends_with("psi=0"));
    }

    #[test]
    fn the_default_guest_boots_on_the_root_nodes_cpus() {
        let mut cluster = cluster("");
        let node = |vcpus| pangea_topology::Node {
            name: "n".to_owned(),
            address: "127.0.0.1".to_owned(),
            vcpus,
            memory: 512 << 20,
        };
        cluster.nodes = vec![node(3), node(0)];
        assert!(!command_line(&cluster).contains("maxcpus"), "no CPU is elsewhere");
        cluster.nodes.push(node(2));
        assert!(command_line(&cluster).ends_with(" maxcpus=3"));
        cluster.guest.initrd = Some("own".into());
        assert!(!command_line(&cluster).contains("maxcpus"), "nobody would start the others");
    }

    #[test]
    fn the_longest_line_is_one_that_linux_reads_whole() {
        let line = command_line(&cluster(&"x".repeat(limits::MAX_COMMAND_LINE)));
        assert!(line.len() < 2048, "{} bytes", line.len());
    }

    #[test]
    fn every_default_is_one_token_with_a_reason() {
        for Token { text, reason } in DEFAULTS {
            assert!(!text.contains(char::is_whitespace) && reason.len() > 20, "{text}");
        }
    }
}
