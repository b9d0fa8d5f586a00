//! What a link is: round trips, a 4 KiB fetch, and how far the two clocks are apart.
//!
//! Runs on the page lane between its welcome and its first page frame. The dialer asks, the listener
//! answers, and in the end gets the result, so that both report the same link.
//!
//! ```text
//!   dialer  t1 --- Ping ---> received                offset  = ((received - t1) + (sent - t4)) / 2
//!           t4 <-- Ping ---- sent                    trip    = (t4 - t1) - (sent - received)
//! ```
//!
//! The offset of one sample is off by at most half of its trip (RFC 5905 8 "On-Wire Protocol"), so
//! the sample with the shortest trip says most. If even that one's offset is more than half of its
//! trip, then a message could arrive before it was sent, by the clocks' own word.

use crate::socket::{read_by, write_by};
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Round trips that only warm up what is on the way.
const WARM_UP: u32 = 8;
/// Round trips that are measured.
const PINGS: u32 = 64;
/// Fetches that are measured.
const FETCHES: u32 = 32;
/// A fetch's payload: one page.
const PAGE: usize = pangea_wire::PAYLOAD_BYTES;
/// How often pings are repeated before a clock is called wrong: a step may be under way.
const CLOCK_ATTEMPTS: u32 = 5;
/// Pause between these.
const CLOCK_PAUSE: Duration = Duration::from_millis(20);
/// Reading a clock takes time and has a grain; differences below this say nothing.
const CLOCK_GRAIN_NS: u64 = 5_000;
/// How long all of it may take; a healthy link needs some ms.
const TIME: Duration = Duration::from_secs(10);
/// Records that a listener answers, at most.
const MAX_RECORDS: u32 = (WARM_UP + PINGS) * CLOCK_ATTEMPTS + FETCHES + 1;

const MAGIC: [u8; 4] = *b"PNGA";
const PING: u8 = 1;
const FETCH: u8 = 2;
const RESULT: u8 = 3;

/// What was measured, from one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Measured {
    pub(crate) rtt_ns: u64,
    pub(crate) rtt_min_ns: u64,
    pub(crate) fetch_ns: u64,
    /// The other side's clock minus ours.
    pub(crate) skew_ns: i64,
    /// The trip of the sample that says so.
    pub(crate) skew_trip_ns: u64,
}

/// One record, 64 bytes, both ways. `values` are times or results by kind.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Record {
    magic: [u8; 4],
    kind: u8,
    zero: [u8; 3],
    seq: U32,
    zero_too: U32,
    values: [U64; 6],
}
const RECORD: usize = 64;
const _: () = assert!(size_of::<Record>() == RECORD);

impl Measured {
    /// How large a skew may be on this link.
    pub(crate) fn skew_limit_ns(&self) -> u64 {
        self.skew_trip_ns / 2 + CLOCK_GRAIN_NS
    }

    pub(crate) fn clocks_agree(&self) -> bool {
        self.skew_ns.unsigned_abs() <= self.skew_limit_ns()
    }

    fn to_values(self) -> [u64; 6] {
        let Measured { rtt_ns, rtt_min_ns, fetch_ns, skew_ns, skew_trip_ns } = self;
        [rtt_ns, rtt_min_ns, fetch_ns, skew_ns.cast_unsigned(), skew_trip_ns, 0]
    }

    /// The same link, seen from the other side.
    fn from_other_side(values: [u64; 6]) -> Measured {
        let [rtt_ns, rtt_min_ns, fetch_ns, skew, skew_trip_ns, _] = values;
        let skew_ns = skew.cast_signed().saturating_neg();
        Measured { rtt_ns, rtt_min_ns, fetch_ns, skew_ns, skew_trip_ns }
    }
}

/// The dialer's side. `clock` reads CLOCK_REALTIME in ns.
pub(crate) fn drive(page: &TcpStream, clock: &dyn Fn() -> u64) -> io::Result<Measured> {
    let mut asker = Asker { page, clock, until: Instant::now() + TIME, seq: 0 };
    let mut measured = asker.pings()?;
    for _ in 1..CLOCK_ATTEMPTS {
        if measured.clocks_agree() {
            break;
        }
        std::thread::sleep(CLOCK_PAUSE);
        measured = asker.pings()?;
    }
    measured.fetch_ns = asker.fetches()?;
    asker.ask(RESULT, measured.to_values(), &mut [])?;
    Ok(measured)
}

/// The listener's side: answers until the result comes.
pub(crate) fn serve(page: &TcpStream, clock: &dyn Fn() -> u64) -> io::Result<Measured> {
    let until = Instant::now() + TIME;
    let mut reply = [0; RECORD + PAGE];
    for _ in 0..MAX_RECORDS {
        let mut record = read_record(page, until)?;
        let received = clock();
        let values = record.values.map(U64::get);
        if record.kind == PING {
            record.values = [received, clock(), 0, 0, 0, 0].map(U64::new);
        }
        let length = if record.kind == FETCH { RECORD + PAGE } else { RECORD };
        let (head, _) = reply.split_at_mut(RECORD);
        head.copy_from_slice(record.as_bytes());
        write_by(page, reply.get(..length).unwrap_or_default(), until)?;
        if record.kind == RESULT {
            return Ok(Measured::from_other_side(values));
        }
    }
    Err(io::Error::new(
        ErrorKind::InvalidData,
        format!("over {MAX_RECORDS} records in a measurement"),
    ))
}

struct Asker<'a> {
    page: &'a TcpStream,
    clock: &'a dyn Fn() -> u64,
    until: Instant,
    seq: u32,
}

impl Asker<'_> {
    /// One record there and back: the answer, and how long it took.
    fn ask(&mut self, kind: u8, values: [u64; 6], page: &mut [u8]) -> io::Result<(Record, u64)> {
        self.seq += 1;
        let record = Record {
            magic: MAGIC,
            kind,
            zero: [0; 3],
            seq: U32::new(self.seq),
            zero_too: U32::ZERO,
            values: values.map(U64::new),
        };
        let start = Instant::now();
        write_by(self.page, record.as_bytes(), self.until)?;
        let answer = read_record(self.page, self.until)?;
        read_by(self.page, page, self.until)?;
        let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if (answer.kind, answer.seq.get()) != (kind, self.seq) {
            let (got, seq) = (answer.kind, answer.seq.get());
            let text = format!("answer {got} to record {seq}, expected {kind} to {}", self.seq);
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        Ok((answer, took))
    }

    /// Round trips, and the clocks' difference by the shortest.
    fn pings(&mut self) -> io::Result<Measured> {
        let mut trips = Vec::new();
        let mut best: Option<(u64, i64)> = None;
        for ping in 0..WARM_UP + PINGS {
            let t1 = (self.clock)();
            let (answer, took) = self.ask(PING, [t1, 0, 0, 0, 0, 0], &mut [])?;
            let [received, sent, ..] = answer.values.map(U64::get);
            // By the steady clock, so that a step of ours during the trip isn't taken for skew.
            let t4 = t1.saturating_add(took);
            let trip = took.saturating_sub(sent.saturating_sub(received));
            let ahead = i128::from(received) - i128::from(t1) + i128::from(sent) - i128::from(t4);
            let offset =
                i64::try_from(ahead / 2).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX });
            if ping >= WARM_UP {
                trips.push(took);
            }
            if best.is_none_or(|(shortest, _)| trip < shortest) {
                best = Some((trip, offset));
            }
        }
        let (skew_trip_ns, skew_ns) = best.unwrap_or_default();
        let (rtt_min_ns, rtt_ns) = min_and_median(trips);
        Ok(Measured { rtt_ns, rtt_min_ns, fetch_ns: 0, skew_ns, skew_trip_ns })
    }

    /// The p50 of fetching a page.
    fn fetches(&mut self) -> io::Result<u64> {
        let mut page = [0; PAGE];
        let mut trips = Vec::new();
        for _ in 0..FETCHES {
            trips.push(self.ask(FETCH, [0; 6], &mut page)?.1);
        }
        Ok(min_and_median(trips).1)
    }
}

fn read_record(page: &TcpStream, until: Instant) -> io::Result<Record> {
    let mut bytes = [0; RECORD];
    read_by(page, &mut bytes, until)?;
    let record: Record = zerocopy::transmute!(bytes);
    if record.magic != MAGIC || !(PING..=RESULT).contains(&record.kind) {
        let (magic, kind) = (record.magic, record.kind);
        let text = format!("a record of kind {kind} with magic {magic:02x?} in a measurement");
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    Ok(record)
}

fn min_and_median(mut trips: Vec<u64>) -> (u64, u64) {
    trips.sort_unstable();
    let median = trips.get(trips.len() / 2).copied().unwrap_or_default();
    (trips.first().copied().unwrap_or_default(), median)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
