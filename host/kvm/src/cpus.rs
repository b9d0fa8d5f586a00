//! All vCPUs of the cluster on this node: one thread each, real or ghost, started and stopped
//! together.

use crate::cpu::{Cpu, StopFlag};
use crate::{Activity, Cpuid, Entry, Ghost, KvmError, Machine, TscOffset, Vm, vcpu};
use pangea_topology::{ApicId, NodeId, Topology};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

/// Stack of a vCPU thread. With 1,024 vCPUs a node has as many threads; the default of 2 MiB of
/// address space each would do no harm, but this is enough.
const STACK: usize = 256 << 10;
/// How often a vCPU that is being stopped is interrupted again: the signal may come just before
/// KVM_RUN, and is lost then.
const KICK_AGAIN: Duration = Duration::from_millis(2);

/// The vCPUs of this node, made but not running.
pub struct Cpus {
    real: Vec<Cpu>,
    ghosts: Vec<Ghost>,
}

/// The vCPUs of this node, running.
pub struct Running {
    stop: Arc<StopFlag>,
    threads: Vec<JoinHandle<()>>,
    done: mpsc::Receiver<()>,
}

impl Cpus {
    /// Makes them all; the guest sees nothing of it yet. The order (by APIC ID) is the same on every
    /// node.
    pub fn new(vm: &Vm, topology: &Topology, me: NodeId, cpuid: &Cpuid) -> Result<Cpus, KvmError> {
        let mut cpus = Cpus { real: Vec::new(), ghosts: Vec::new() };
        for id in (0..topology.vcpus()).map(ApicId) {
            let cpu = Cpu::new(vm, id, &cpuid.of(topology, id))?;
            if topology.node_of(id) == Some(me) {
                cpu.set_msrs(&vcpu::firmware_msrs())?;
                cpus.real.push(cpu);
            } else {
                cpus.ghosts.push(Ghost::new(cpu)?);
            }
        }
        Ok(cpus)
    }

    /// Gives every vCPU, ghosts too, the same time-stamp counter offset: KVM keeps one clock for the
    /// machine only while all its vCPUs agree.
    pub fn set_tsc(&self, offset: TscOffset) -> Result<(), KvmError> {
        self.real.iter().chain(self.ghosts.iter().map(Ghost::cpu)).try_for_each(|c| offset.set(c))
    }

    /// The rate of this host's time-stamp counter as its vCPUs see it, in kHz.
    pub fn tsc_khz(&self) -> Result<u32, KvmError> {
        let mut cpus = self.real.iter().chain(self.ghosts.iter().map(Ghost::cpu));
        cpus.next().map_or(Ok(0), |cpu| cpu.fd.get_tsc_khz().map_err(cpu.error("KVM_GET_TSC_KHZ")))
    }

    /// Puts the boot CPU at the guest's entry point. Call on the root node only.
    pub fn set_entry(&self, entry: Entry) -> Result<(), KvmError> {
        self.real.iter().filter(|cpu| cpu.id == ApicId(0)).try_for_each(|c| c.set_entry(entry))
    }

    /// Whether the real ones among them sleep; none where KVM doesn't tell.
    pub fn activity(&self) -> Option<Activity> {
        Activity::of(self.real.iter())
    }

    /// Starts a thread for each. Errors of a vCPU reach `machine.failed`.
    pub fn start(self, machine: Arc<dyn Machine>) -> Result<Running, KvmError> {
        register_signal_handler(SIGRTMIN(), interrupted).map_err(|source| KvmError::Vm {
            call: "sigaction(SIGRTMIN)",
            source: kvm_ioctls::Error::new(source.errno()),
        })?;
        let stop = Arc::new(StopFlag::default());
        let (send, done) = mpsc::channel();
        let mut running = Running { stop, threads: Vec::new(), done };
        let mut failed = None;
        let bodies =
            (self.real.into_iter().map(Body::Real)).chain(self.ghosts.into_iter().map(Body::Ghost));
        for body in bodies {
            let (machine, stop) = (machine.clone(), running.stop.clone());
            let (cpu, name) = body.name();
            let send = send.clone();
            let thread = Builder::new().name(name).stack_size(STACK).spawn(move || {
                if let Err(error) = body.run(&*machine, &stop) {
                    machine.failed(error);
                }
                drop(send);
            });
            match thread {
                Ok(thread) => running.threads.push(thread),
                Err(source) => failed = Some(KvmError::Thread { cpu, source }),
            }
            if failed.is_some() {
                break;
            }
        }
        drop(send);
        match failed {
            None => Ok(running),
            Some(error) => {
                running.stop();
                Err(error)
            }
        }
    }
}

impl Running {
    /// Interrupts every vCPU and waits until all threads are gone. Must not be called on one of them.
    ///
    /// A vCPU that waits for a page inside the kernel hears no signal: stop the pager first, which
    /// wakes it.
    pub fn stop(self) {
        self.stop.set();
        loop {
            let again = Instant::now() + KICK_AGAIN;
            for thread in self.threads.iter().filter(|t| !t.is_finished()) {
                // A thread that just ended is no longer there to be interrupted.
                let _ = thread.kill(SIGRTMIN());
            }
            // The channel closes when the last thread has dropped its end.
            let left = again.saturating_duration_since(Instant::now());
            if self.done.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Disconnected) {
                break;
            }
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a vCPU thread panicked");
            }
        }
    }
}

enum Body {
    Real(Cpu),
    Ghost(Ghost),
}

impl Body {
    fn name(&self) -> (ApicId, String) {
        match self {
            Body::Real(cpu) => (cpu.id, format!("vcpu{}", cpu.id.0)),
            Body::Ghost(ghost) => (ghost.cpu().id, format!("ghost{}", ghost.cpu().id.0)),
        }
    }

    fn run(self, machine: &dyn Machine, stop: &StopFlag) -> Result<(), KvmError> {
        match self {
            Body::Real(cpu) => cpu.run_guest(machine, stop),
            Body::Ghost(ghost) => ghost.run(machine, stop),
        }
    }
}

/// Does nothing: the signal's work is to end KVM_RUN with EINTR.
extern "C" fn interrupted(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
