//! The QEMU process of a lab: its command line with the reason for each part, and its end.
//!
//! A lab's QEMU never outlives whoever started it: dropping [`Qemu`] kills and reaps it, and the
//! kernel kills it (`setpriv --pdeathsig`) should our process die without dropping anything.
//! It has a process group of its own, so that Ctrl-C on the terminal comes to us alone and the
//! lab host can be asked to stop in good order first.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::error::LabError;

/// The program that emulates the lab host.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Kernel arguments of every lab host, each with its reason.
pub const KERNEL_ARGS: &[(&str, &str)] = &[
    ("console=ttyS0", "the first serial port is the log"),
    ("quiet", "only warnings and errors: every character costs emulated instructions"),
    ("panic=-1", "a panic reboots at once, and -no-reboot makes QEMU end instead"),
    (
        "tsc=reliable",
        "TCG hides constant_tsc, so Linux would drop the TSC and KVM its master clock",
    ),
    ("mitigations=off", "nothing secret in there, and half the exits' cost"),
    ("nowatchdog", "emulated CPUs stall for seconds when the machine is busy: that is no lockup"),
    ("rcupdate.rcu_cpu_stall_suppress=1", "the same for RCU's stall detector"),
];

/// What a lab's QEMU is started with.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Path,
    pub(super) initramfs: &'a Path,
    pub(super) memory_mib: u32,
    pub(super) cpus: u32,
    pub(super) kernel_args_extra: &'a [String],
    /// Unix sockets, in the order of the serial ports, that someone listens on already.
    pub(super) serial: [&'a Path; 3],
}

/// A running QEMU; dropping it ends it.
#[derive(Debug)]
pub(super) struct Qemu {
    child: Child,
    stderr: std::path::PathBuf,
}

impl Qemu {
    /// Starts QEMU; what it complains about goes to the file `stderr`.
    pub(super) fn start(machine: &Machine<'_>, stderr: &Path) -> Result<Self, LabError> {
        let create = LabError::io("create the file for QEMU's errors");
        let complaints = std::fs::File::create(stderr).map_err(create)?;
        let mut command = command(machine);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints);
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|source| LabError::Start { program: "setpriv".into(), source })?;
        Ok(Self { child, stderr: stderr.to_owned() })
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, LabError> {
        self.child.try_wait().map_err(LabError::io("wait for QEMU"))
    }

    /// Waits for its end, and ends it if that takes longer than `limit`.
    pub(super) fn wait(&mut self, limit: Duration) -> Result<ExitStatus, LabError> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                self.child.kill().map_err(LabError::io("end QEMU"))?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it complained about so far.
    pub(super) fn complaints(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only when it has ended and was reaped, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(machine: &Machine<'_>) -> Command {
    let kernel_args = KERNEL_ARGS.iter().map(|(argument, _)| *argument);
    let extra = machine.kernel_args_extra.iter().map(String::as_str);
    let append: Vec<&str> = kernel_args.chain(extra).collect();

    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", PROGRAM]);
    // No devices but those named, no configuration of this machine's.
    command.args(["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"]);
    // Time passes with instructions, a nanosecond each, whatever else this machine is doing: a guest's
    // timer ticks can't come faster than its CPUs get on, and a busy machine changes no outcome. It costs
    // a core, for the emulated CPUs then take turns. Four levels of page tables are walked faster than five.
    command.args(["-accel", "tcg,thread=single", "-icount", "shift=0", "-machine", "q35"]);
    command.args(["-cpu", "max,+svm,la57=off,vgif=off,v-vmsave-vmload=off,erms=off,fsrm=off"]);
    command.args(["-smp", &machine.cpus.to_string(), "-m", &machine.memory_mib.to_string()]);
    command.arg("-kernel").arg(machine.kernel).arg("-initrd").arg(machine.initramfs);
    command.args(["-append", &append.join(" ")]);
    for (port, socket) in machine.serial.iter().enumerate() {
        // A comma in an option's value is written twice.
        let path = socket.display().to_string().replace(',', ",,");
        command.args(["-chardev", &format!("socket,id=port{port},path={path}")]);
        command.args(["-serial", &format!("chardev:port{port}")]);
    }
    command
}
