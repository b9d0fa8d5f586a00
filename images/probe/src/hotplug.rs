//! A CPU of another node taken offline by the guest, and brought back, twice.

use crate::Outcome;
use crate::args::Args;
use crate::cpu;
use crate::crew;
use crate::machine::{self, Machine};
use crate::memory::Pages;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

const CPUS: &str = "/sys/devices/system/cpu";
const TIMES: u32 = 2;
/// Locked additions that the CPU makes once it is back, together with the first CPU.
const COUNT: u64 = 500;

pub(crate) fn run(args: &Args, machine: &Machine) -> Outcome {
    let first = machine.first_cpu()?;
    // In the guest this program is /probe. Elsewhere it doesn't take a CPU away unasked.
    if args.cpu.is_none() && std::env::current_exe().ok().as_deref() != Some(Path::new("/probe")) {
        println!("hotplug skipped: this isn't the guest; --cpu N does it here");
        return Ok(());
    }
    let Some(cpu) = args.cpu.or_else(|| other(machine, first)) else {
        println!("hotplug skipped: there is one CPU only");
        return Ok(());
    };
    let node = machine.node_of(cpu).ok_or(format!("there is no CPU {cpu}"))?;
    for time in 1..=TIMES {
        switch(cpu, false)?;
        println!("hotplug time {time} cpu {cpu} node {node} offline");
        if cpu::pin(cpu).is_ok() {
            return Err(format!("CPU {cpu} is offline, but still runs threads"));
        }
        cpu::pin(first)?;
        switch(cpu, true)?;
        println!("hotplug time {time} cpu {cpu} node {node} online");
        work(args, machine, first, cpu)?;
        println!("hotplug time {time} cpu {cpu} node {node} works");
    }
    Ok(())
}

/// The last CPU, of another node than the first one if there is one.
fn other(machine: &Machine, first: u32) -> Option<u32> {
    let mut cpus = machine.cpus();
    cpus.retain(|cpu| *cpu != first);
    let far = cpus.iter().rev().find(|cpu| machine.node_of(**cpu) != machine.node_of(first));
    far.or(cpus.last()).copied()
}

fn switch(cpu: u32, on: bool) -> Outcome {
    let path = format!("{CPUS}/cpu{cpu}/online");
    fs::write(&path, if on { "1" } else { "0" })
        .map_err(|error| format!("can't write {on} to {path}: {error}"))?;
    if machine::list(&format!("{CPUS}/online")).contains(&cpu) != on {
        return Err(format!("CPU {cpu} was told to be online: {on}, and isn't"));
    }
    Ok(())
}

fn work(args: &Args, machine: &Machine, first: u32, cpu: u32) -> Outcome {
    for node in machine.memory() {
        let page = Pages::on(*node, 1)?;
        let word = &page.words()[0];
        crew::run("hotplug work", &[first, cpu], args.deadline, |_| {
            for _ in 0..COUNT {
                word.fetch_add(1, SeqCst);
            }
            Ok(())
        })?;
        let total = word.load(SeqCst);
        if total != 2 * COUNT {
            return Err(format!("{total} instead of {} additions on node {node}", 2 * COUNT));
        }
    }
    Ok(())
}
