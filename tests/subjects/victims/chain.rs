// SPDX-License-Identifier: Apache-2.0
// main -> outer -> middle -> inner in Rust, and the same chain below a thread of its own.
use std::hint::black_box;
use std::time::{Duration, Instant};

#[inline(never)]
fn inner(mut x: u64) -> u64 {
    for _ in 0..40_000 {
        x = black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1));
    }
    x
}

#[inline(never)]
fn middle(x: u64) -> u64 {
    black_box(inner(black_box(x))) + 1
}

#[inline(never)]
fn outer(x: u64) -> u64 {
    black_box(middle(black_box(x))) ^ 1
}

fn burn(end: Instant) -> u64 {
    let mut x = 1;
    while Instant::now() < end {
        x = outer(x);
    }
    x
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).map_or(1.0, |a| a.parse().unwrap());
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let other = std::thread::spawn(move || burn(end));
    println!("ready");
    println!("{}", burn(end) ^ other.join().unwrap());
}
