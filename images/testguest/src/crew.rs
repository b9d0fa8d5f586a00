//! All CPUs: brought up one after the other, then given jobs.

use crate::entry::{set_next, trampoline_code};
use crate::failure::{Outcome, ensure, failure};
use crate::interrupts::{self, WAKE};
use crate::list::List;
use crate::local::Local;
use crate::machine::{MAX_CPUS, Machine};
use crate::once::Once;
use crate::ring3::{self, Job};
use crate::serial::say;
use crate::{apic, cpu, physical, time};
use core::sync::atomic::Ordering;

/// Pages below 1 MiB that CPUs can be started at: two that differ in many bits.
pub(crate) const START_PAGES: [u64; 2] = [0x1_2000, 0x8_d000];

/// Pauses between INIT and SIPI, and between SIPI and the second one, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    init: u64,
    startup: u64,
}

/// As the MP specification (B.4) has it, and as systems do it on newer CPUs.
pub(crate) const BY_THE_BOOK: Pace = Pace { init: 10_000, startup: 200 };
pub(crate) const AT_ONCE: Pace = Pace { init: 0, startup: 10 };

/// Where a job runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ring {
    Zero,
    Three,
}

/// Who is to do a job, and its words.
pub(crate) type Task = (usize, [u64; 4]);

pub(crate) struct Crew {
    pub(crate) machine: Machine,
    locals: List<&'static Local, MAX_CPUS>,
}

static CREW: Once<Crew> = Once::new();

impl Crew {
    /// Makes every CPU's own, makes this the boot CPU's, and starts the others.
    pub(crate) fn muster(machine: Machine) -> Outcome<&'static Crew> {
        let mut locals = List::new();
        for (index, cpu) in machine.cpus.iter().enumerate() {
            ensure!(locals.push(Local::new(&machine, index, cpu)?), "over {MAX_CPUS} CPUs");
        }
        let crew = CREW.put(Crew { machine, locals });
        interrupts::prepare();
        settle(crew.local(0));
        for page in START_PAGES {
            physical::write(page, trampoline_code());
        }
        for index in 1..crew.len() {
            crew.start(index, START_PAGES[0], BY_THE_BOOK)?;
        }
        Ok(crew)
    }

    pub(crate) fn len(&self) -> usize {
        self.locals.len()
    }

    pub(crate) fn local(&self, index: usize) -> &'static Local {
        self.locals.get(index).expect("a CPU of the crew")
    }

    /// Every pair of different CPUs, both ways.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let len = self.len();
        (0..len).flat_map(move |a| (0..len).filter(move |b| a != *b).map(move |b| (a, b)))
    }

    /// Starts a CPU by INIT and SIPI, waits until it has arrived, and tells what it says.
    pub(crate) fn start(&self, index: usize, page: u64, pace: Pace) -> Outcome {
        let local = self.local(index);
        let arrival = &local.arrival;
        let before = arrival.count.load(Ordering::Acquire);
        let id = local.apic_id();
        set_next(local, local.stack.load(Ordering::Relaxed));
        apic::send_init(id);
        time::delay(pace.init);
        apic::send_startup(id, page);
        time::delay(pace.startup);
        apic::send_startup(id, page);
        let up = || arrival.count.load(Ordering::Acquire) > before;
        ensure!(time::spin(up), "cpu {index} doesn't start at {page:#x}");
        let get = |word: &core::sync::atomic::AtomicU64| word.load(Ordering::Relaxed);
        let (at, x2apic, cpuid) =
            (get(&arrival.page), get(&arrival.x2apic_id), get(&arrival.cpuid_id));
        ensure!(at == page, "cpu {index} started at {at:#x}, not at {page:#x}");
        ensure!(
            (x2apic, cpuid) == (id.into(), id.into()),
            "cpu {index} has x2APIC ID {x2apic} and CPUID says {cpuid}; the MADT says {id}"
        );
        say!("cpu {index} started at {at:#x}: x2apic id {x2apic}, cpuid id {cpuid}");
        Ok(())
    }

    /// Has CPUs do a job all at once, this one among them if it is told to, and waits for all.
    pub(crate) fn run(
        &self,
        ring: Ring,
        job: Job,
        tasks: &[Task],
    ) -> Outcome<List<[u64; 4], MAX_CPUS>> {
        let me = Local::mine();
        let mut results = List::new();
        for (index, words) in tasks.iter().filter(|(index, _)| *index != me.index()) {
            self.post(*index, ring, job, *words);
        }
        let own = tasks.iter().find(|(index, _)| *index == me.index()).map(|(_, words)| {
            let mut words = *words;
            perform(me, ring, job, &mut words);
            words
        });
        for (index, _) in tasks {
            let words = match own {
                Some(words) if *index == me.index() => words,
                _ => self.collect(*index)?,
            };
            ensure!(results.push(words), "over {MAX_CPUS} results");
        }
        Ok(results)
    }

    /// Has every CPU do a job; each gets its own words.
    pub(crate) fn run_all(
        &self,
        ring: Ring,
        job: Job,
        words: impl Fn(usize) -> [u64; 4],
    ) -> Outcome<List<[u64; 4], MAX_CPUS>> {
        let mut tasks = [(0, [0; 4]); MAX_CPUS];
        for (cpu, task) in (0..self.len()).zip(&mut tasks) {
            *task = (cpu, words(cpu));
        }
        self.run(ring, job, &tasks[..self.len()])
    }

    /// Has one CPU begin a job.
    pub(crate) fn post(&self, index: usize, ring: Ring, job: Job, words: [u64; 4]) {
        let local = self.local(index);
        let mailbox = &local.mailbox;
        for (slot, word) in mailbox.words.iter().zip(words) {
            slot.store(word, Ordering::Relaxed);
        }
        mailbox.job.store(job as usize as u64, Ordering::Relaxed);
        mailbox.ring.store((ring == Ring::Three).into(), Ordering::Relaxed);
        mailbox.posted.fetch_add(1, Ordering::Release);
        apic::send(local.apic_id(), WAKE);
    }

    fn collect(&self, index: usize) -> Outcome<[u64; 4]> {
        let mailbox = &self.local(index).mailbox;
        let posted = mailbox.posted.load(Ordering::Relaxed);
        let done = || mailbox.done.load(Ordering::Acquire) == posted;
        ensure!(time::halt(done), "cpu {index} hasn't done job {posted} in {} s", time::LIMIT);
        Ok([0, 1, 2, 3].map(|i| mailbox.words[i].load(Ordering::Relaxed)))
    }
}

/// All CPUs; jobs find their peers by it.
pub(crate) fn crew() -> Outcome<&'static Crew> {
    CREW.get().ok_or_else(|| failure!("there is no crew yet"))
}

/// Another CPU's way in, again at each start.
pub(crate) fn arrive(me: &'static Local, page: u64) -> ! {
    apic::enable();
    settle(me);
    let arrival = &me.arrival;
    let cpuid = cpu::cpuid(0xb, 0).edx;
    arrival.page.store(page, Ordering::Relaxed);
    arrival.x2apic_id.store(apic::id().into(), Ordering::Relaxed);
    arrival.cpuid_id.store(cpuid.into(), Ordering::Relaxed);
    let mailbox = &me.mailbox;
    let mut done = mailbox.posted.load(Ordering::Acquire);
    mailbox.done.store(done, Ordering::Release);
    arrival.count.fetch_add(1, Ordering::Release);
    loop {
        time::halt_for_ever(|| mailbox.posted.load(Ordering::Acquire) != done);
        let ring = match mailbox.ring.load(Ordering::Relaxed) {
            0 => Ring::Zero,
            _ => Ring::Three,
        };
        let mut words = [0, 1, 2, 3].map(|i| mailbox.words[i].load(Ordering::Relaxed));
        perform(me, ring, ring3::job_at(mailbox.job.load(Ordering::Relaxed)), &mut words);
        for (slot, word) in mailbox.words.iter().zip(words) {
            slot.store(word, Ordering::Relaxed);
        }
        done += 1;
        mailbox.done.store(done, Ordering::Release);
        if let Ok(crew) = crew() {
            apic::send(crew.local(0).apic_id(), WAKE);
        }
    }
}

/// What every CPU sets up for itself.
fn settle(me: &'static Local) {
    me.adopt();
    interrupts::load();
    ring3::prepare(me);
    apic::start_ticks();
    cpu::sti();
}

fn perform(me: &'static Local, ring: Ring, job: Job, words: &mut [u64; 4]) {
    match ring {
        Ring::Zero => job(me, words),
        Ring::Three => ring3::run(me, job, words),
    }
}
