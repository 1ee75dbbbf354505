// SPDX-License-Identifier: Apache-2.0
//! Symbolizers that are Rust libraries, measured in process as `bench-lookup` measures us.
//!
//!     rivals build-symcache ELF OUT                 prints the address that OUT's addresses count from
//!     rivals symcache FILE ROUNDS BASE < ADDRESSES  with that address
//!     rivals addr2line|blazesym|gsym FILE ROUNDS < ADDRESSES
//!
//! ADDRESSES are hexadecimal, one a line. Prints one JSON object: nanoseconds of CPU per address (the median round)
//! for the chain of frames alone, with all strings in hand, and all addresses given in one call, null where an
//! engine has no such way; and milliseconds from opening the file to the first answer.
mod blaze;
mod gimli;
mod symcache;

use std::error::Error;
use std::hint::black_box;
use std::io::BufRead;
use std::time::{Duration, Instant};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a look-up found; summed up so that none of it can be left out.
#[derive(Default, Clone, Copy)]
pub struct Found {
    pub hits: u64,
    pub frames: u64,
    pub bytes: u64,
}

impl Found {
    pub fn frame(&mut self, function: &str, path: usize) {
        self.frames += 1;
        self.bytes += (function.len() + path) as u64;
    }
}

pub trait Engine {
    /// The chain of frames, innermost first, without strings where that is less work.
    fn chain(&self, _address: u64, _found: &mut Found) -> Option<()> {
        None
    }
    /// With function names, file names and lines.
    fn names(&self, address: u64, found: &mut Found);
    /// The same with the path of each file in one piece, where `names` leaves it in parts.
    fn paths(&self, _address: u64, _found: &mut Found) -> Option<()> {
        None
    }
    /// As `names`, all in one call.
    fn batch(&self, _addresses: &[u64], _found: &mut Found) -> Option<()> {
        None
    }
}

/// What this thread has used of the processor, so that other work on the machine does not count.
fn cpu_time() -> Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// Nanoseconds per address of the median round; None when the engine has no such way.
fn measure(addresses: &[u64], rounds: usize, mut round: impl FnMut(&mut Found) -> Option<()>) -> Option<(f64, Found)> {
    let mut times = Vec::new();
    let mut found = Found::default();
    for _ in 0..rounds {
        found = Found::default();
        let start = cpu_time();
        round(&mut found)?;
        times.push((cpu_time() - start).as_nanos() as f64 / addresses.len() as f64);
        black_box(found);
    }
    times.sort_by(f64::total_cmp);
    Some((times[times.len() / 2], found))
}

fn each(addresses: &[u64], mut one: impl FnMut(u64) -> Option<()>) -> Option<()> {
    addresses.iter().try_for_each(|address| one(*address))
}

fn read_addresses() -> Result<Vec<u64>> {
    let mut addresses = Vec::new();
    for line in std::io::stdin().lock().lines() {
        addresses.push(u64::from_str_radix(line?.trim().trim_start_matches("0x"), 16)?);
    }
    Ok(addresses)
}

fn text(figure: Option<(f64, Found)>) -> String {
    figure.map_or("null".into(), |(ns, _)| format!("{ns:.1}"))
}

fn report(engine: &dyn Engine, addresses: &[u64], rounds: usize, first_ms: f64) {
    // One round unmeasured: what is read lazily is read now.
    measure(addresses, 1, |found| each(addresses, |a| Some(engine.names(a, found))));
    let chain = measure(addresses, rounds, |found| each(addresses, |a| engine.chain(a, found)));
    let names = measure(addresses, rounds, |found| each(addresses, |a| Some(engine.names(a, found))));
    let paths = measure(addresses, rounds, |found| each(addresses, |a| engine.paths(a, found)));
    let batch = measure(addresses, rounds, |found| engine.batch(addresses, found));
    let found = names.map_or(Found::default(), |(_, found)| found);
    println!(
        "{{\"first_ms\":{first_ms:.3},\"chain_ns\":{},\"names_ns\":{},\"paths_ns\":{},\"batch_ns\":{},\"hits\":{},\"frames\":{}}}",
        text(chain), text(names), text(paths), text(batch), found.hits, found.frames
    );
}

fn open(kind: &str, file: &str, base: Option<&String>) -> Result<Box<dyn Engine>> {
    Ok(match kind {
        "symcache" => Box::new(symcache::open(file, base.ok_or("symcache wants its BASE")?)?),
        "addr2line" => Box::new(gimli::open(file)?),
        "blazesym" => Box::new(blaze::open_elf(file)),
        "gsym" => Box::new(blaze::open_gsym(file)),
        _ => return Err(format!("no engine '{kind}'").into()),
    })
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["build-symcache", elf, out] => symcache::build(elf, out),
        [kind, file, rounds, ..] => {
            let addresses = read_addresses()?;
            let first = *addresses.first().ok_or("no addresses on standard input")?;
            let start = Instant::now();
            let engine = open(kind, file, words.get(3))?;
            engine.names(first, &mut Found::default());
            report(&*engine, &addresses, rounds.parse()?, start.elapsed().as_secs_f64() * 1e3);
            Ok(())
        }
        _ => Err("usage: rivals build-symcache ELF OUT | ENGINE FILE ROUNDS [BASE] < ADDRESSES".into()),
    }
}
