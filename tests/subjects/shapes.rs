// SPDX-License-Identifier: Apache-2.0
// A Rust subject: traits, generics, closures and iterators that inline into each other.
use std::collections::BTreeMap;

trait Shape {
    fn area(&self) -> f64;
}

struct Circle(f64);
struct Rect(f64, f64);

impl Shape for Circle {
    fn area(&self) -> f64 {
        square(self.0) * 3.14159
    }
}

impl Shape for Rect {
    fn area(&self) -> f64 {
        self.0 * self.1
    }
}

#[inline]
fn square<T: std::ops::Mul<Output = T> + Copy>(x: T) -> T {
    x * x
}

#[inline(never)]
fn total(shapes: &[Box<dyn Shape>]) -> f64 {
    shapes.iter().map(|s| s.area()).filter(|a| *a > 0.5).sum()
}

#[inline(never)]
fn count_words(text: &str) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    for word in text.split_whitespace() {
        *words.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    words
}

fn main() {
    let n = std::env::args().count() as u32 + 20;
    let shapes: Vec<Box<dyn Shape>> = (0..n)
        .map(|i| -> Box<dyn Shape> {
            if i % 2 == 0 {
                Box::new(Circle(f64::from(i)))
            } else {
                Box::new(Rect(f64::from(i), 2.0))
            }
        })
        .collect();
    println!("{} {:?}", total(&shapes), count_words("a b a C c"));
}
