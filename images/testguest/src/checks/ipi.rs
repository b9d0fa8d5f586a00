//! Interrupts between CPUs: fixed, NMI, to all but the sender, to logical destinations. Each is
//! counted where it arrives: none lost, none twice, none elsewhere.

use crate::crew::{Crew, Ring, crew};
use crate::failure::{Outcome, ensure};
use crate::interrupts::{LOGICAL, NMI, OTHERS, PING, PONG};
use crate::local::Local;
use crate::machine::MAX_CPUS;
use crate::serial::say;
use crate::{apic, time};

/// Rounds of ping and pong for each ordered pair of CPUs; of the other kinds.
const ROUNDS: u64 = 100;
const FEW_ROUNDS: u64 = 20;

pub(super) fn run(crew: &Crew) -> Outcome {
    for (from, to) in crew.pairs() {
        ping_pong(crew, from, to)?;
        say!("ipi cpu {from} to cpu {to}: {ROUNDS} pings, {ROUNDS} pongs");
    }
    for (from, to) in crew.pairs() {
        let tally = Tally::before(crew, NMI);
        let sent = crew.run(Ring::Zero, nmis, &[(from, [to as u64, 0, 0, 0])])?;
        ensure!(sent.get(0) == Some([FEW_ROUNDS, 0, 0, 0]), "NMIs of cpu {from} don't reach {to}");
        tally.check(crew, |cpu| if cpu == to { FEW_ROUNDS } else { 0 })?;
        say!("nmi cpu {from} to cpu {to}: {FEW_ROUNDS}");
    }
    logical_ids(crew)?;
    for (vector, what) in [(OTHERS, "all but self"), (LOGICAL, "logical destinations")] {
        for from in 0..crew.len() {
            let tally = Tally::before(crew, vector);
            let sent = crew.run(Ring::Zero, to_others, &[(from, [vector.into(), 0, 0, 0])])?;
            ensure!(sent.get(0) == Some([FEW_ROUNDS, 0, 0, 0]), "cpu {from} doesn't reach {what}");
            tally.check(crew, |cpu| if cpu == from { 0 } else { FEW_ROUNDS })?;
            say!("ipi cpu {from} to {what}: {FEW_ROUNDS} each");
        }
    }
    Ok(())
}

/// [`ROUNDS`] interrupts there, each answered by one back.
pub(super) fn ping_pong(crew: &Crew, from: usize, to: usize) -> Outcome {
    let tallies = [PING, PONG].map(|vector| Tally::before(crew, vector));
    let begin = (from, [to as u64, 1, tallies[1].before[from], 0]);
    let answer = (to, [from as u64, 0, tallies[0].before[to], 0]);
    let results = crew.run(Ring::Zero, ping_or_pong, &[begin, answer])?;
    for ([rounds, ..], cpu) in results.iter().zip([from, to]) {
        ensure!(rounds == ROUNDS, "cpu {cpu} of pair {from}, {to} got {rounds} of {ROUNDS} IPIs");
    }
    for (tally, hit) in tallies.iter().zip([to, from]) {
        tally.check(crew, |cpu| if cpu == hit { ROUNDS } else { 0 })?;
    }
    Ok(())
}

/// Words: peer, 1 for the side that begins, how often it was interrupted before. Leaves the rounds.
extern "sysv64" fn ping_or_pong(me: &'static Local, words: &mut [u64; 4]) {
    let [peer, begins, before, _] = *words;
    let Ok(crew) = crew() else { return };
    let peer = crew.local(peer as usize).apic_id();
    let (sent, awaited) = if begins == 1 { (PING, PONG) } else { (PONG, PING) };
    for round in 1..=ROUNDS {
        words[0] = round - 1;
        if begins == 1 {
            apic::send(peer, sent);
        }
        if !time::halt(|| me.count(awaited) >= before + round) {
            return;
        }
        if begins == 0 {
            apic::send(peer, sent);
        }
    }
    words[0] = ROUNDS;
}

/// Words: peer. Leaves the rounds. Two NMIs at once may arrive as one, so each is awaited.
extern "sysv64" fn nmis(_: &'static Local, words: &mut [u64; 4]) {
    let Ok(crew) = crew() else { return };
    let peer = crew.local(words[0] as usize);
    let before = peer.count(NMI);
    for round in 1..=FEW_ROUNDS {
        *words = [round - 1, 0, 0, 0];
        apic::send_nmi(peer.apic_id());
        if !time::spin(|| peer.count(NMI) >= before + round) {
            return;
        }
    }
    words[0] = FEW_ROUNDS;
}

/// Words: vector, which tells the way. Leaves the rounds.
extern "sysv64" fn to_others(me: &'static Local, words: &mut [u64; 4]) {
    let vector = words[0] as u8;
    let Ok(crew) = crew() else { return };
    let tally = Tally::before(crew, vector);
    for round in 1..=FEW_ROUNDS {
        *words = [round - 1, 0, 0, 0];
        match vector {
            OTHERS => apic::send_to_others(vector),
            _ => clusters(crew, me, |destination| apic::send_logical(destination, vector)),
        }
        let others = || (0..crew.len()).filter(|cpu| *cpu != me.index());
        let all = || others().all(|cpu| tally.since(crew, cpu) >= round);
        if !time::spin(all) {
            return;
        }
    }
    words[0] = FEW_ROUNDS;
}

/// The logical ID that x2APIC derives from an APIC ID (SDM vol. 3 10.12.10.2).
fn logical(apic_id: u32) -> u32 {
    apic_id >> 4 << 16 | 1 << (apic_id & 0xf)
}

/// One destination for each cluster that has a CPU other than this.
fn clusters(crew: &Crew, me: &Local, mut visit: impl FnMut(u32)) {
    for cluster in 0..=u16::MAX.into() {
        let ids = || (0..crew.len()).map(|cpu| crew.local(cpu).apic_id());
        let others = ids().filter(|id| *id != me.apic_id() && id >> 4 == cluster);
        let destination = others.fold(0, |bits, id| bits | logical(id));
        if destination != 0 {
            visit(destination);
        }
        if ids().all(|id| id >> 4 <= cluster) {
            return;
        }
    }
}

fn logical_ids(crew: &Crew) -> Outcome {
    for cpu in 0..crew.len() {
        let found = crew.run(Ring::Zero, logical_id, &[(cpu, [0; 4])])?;
        let expected = logical(crew.local(cpu).apic_id());
        let found = found.get(0).map_or(0, |words| words[0]);
        ensure!(found == expected.into(), "cpu {cpu}: logical ID {found:#x}, not {expected:#x}");
    }
    Ok(())
}

extern "sysv64" fn logical_id(_: &'static Local, words: &mut [u64; 4]) {
    words[0] = apic::logical_id().into();
}

/// How often each CPU was interrupted before.
struct Tally {
    vector: u8,
    before: [u64; MAX_CPUS],
}

impl Tally {
    fn before(crew: &Crew, vector: u8) -> Tally {
        let mut before = [0; MAX_CPUS];
        for (cpu, count) in (0..crew.len()).zip(&mut before) {
            *count = crew.local(cpu).count(vector);
        }
        Tally { vector, before }
    }

    fn since(&self, crew: &Crew, cpu: usize) -> u64 {
        crew.local(cpu).count(self.vector) - self.before[cpu]
    }

    fn check(&self, crew: &Crew, expected: impl Fn(usize) -> u64) -> Outcome {
        // What comes twice comes a little later.
        time::delay(1000);
        for cpu in 0..crew.len() {
            let (got, expected) = (self.since(crew, cpu), expected(cpu));
            let vector = self.vector;
            ensure!(
                got == expected,
                "cpu {cpu} got {got} interrupts of vector {vector:#x}, not {expected}"
            );
        }
        Ok(())
    }
}
