// SPDX-License-Identifier: Apache-2.0
//! A program that instantiates much of Rust's standard library: collections, iterators, closures, formatting,
//! threads, channels, sorting, dynamic dispatch.
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt::{self, Debug, Display};
use std::io::{BufRead, Cursor, Read, Write};
use std::rc::Rc;
use std::sync::{mpsc, Arc, Mutex, RwLock};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Token {
    Number(i64),
    Word(String),
    Group(Vec<Token>),
}

impl Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Number(n) => write!(f, "{n:>8}"),
            Token::Word(w) => write!(f, "<{w}>"),
            Token::Group(g) => f.debug_list().entries(g.iter()).finish(),
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut open: Vec<Vec<Token>> = vec![Vec::new()];
    for word in text.split_whitespace() {
        match word {
            "(" => open.push(Vec::new()),
            ")" if open.len() > 1 => {
                let group = open.pop().unwrap();
                open.last_mut().unwrap().push(Token::Group(group));
            }
            _ => open.last_mut().unwrap().push(
                word.parse().map(Token::Number).unwrap_or_else(|_| Token::Word(word.to_uppercase())),
            ),
        }
    }
    open.into_iter().flatten().collect()
}

trait Visit {
    fn visit(&mut self, token: &Token);
}

#[derive(Default)]
struct Counting {
    words: HashMap<String, usize>,
    numbers: BTreeMap<i64, Vec<usize>>,
    depth: usize,
}

impl Visit for Counting {
    fn visit(&mut self, token: &Token) {
        match token {
            Token::Number(n) => self.numbers.entry(*n).or_default().push(self.depth),
            Token::Word(w) => *self.words.entry(w.clone()).or_insert(0) += 1,
            Token::Group(g) => {
                self.depth += 1;
                g.iter().for_each(|t| self.visit(t));
                self.depth -= 1;
            }
        }
    }
}

fn summed<T, K: Ord + Debug, F: Fn(&T) -> K>(items: &[T], key: F) -> BTreeMap<K, usize> {
    items.iter().fold(BTreeMap::new(), |mut map, item| {
        *map.entry(key(item)).or_insert(0) += 1;
        map
    })
}

fn sorted(mut items: Vec<Token>) -> Vec<Token> {
    items.sort();
    items.dedup();
    items.sort_unstable_by(|a, b| b.cmp(a));
    items.sort_by_cached_key(|t| t.to_string());
    items
}

fn structures(items: &[Token]) -> usize {
    let set: BTreeSet<_> = items.iter().cloned().collect();
    let unordered: HashSet<_> = items.iter().map(|t| t.to_string()).collect();
    let mut heap: BinaryHeap<_> = items.iter().cloned().collect();
    let mut queue: VecDeque<_> = items.iter().rev().cloned().collect();
    queue.rotate_left(items.len() / 2);
    let top = heap.pop().map_or(0, |t| t.to_string().len());
    set.range(Token::Number(0)..).count() + unordered.len() + top + queue.iter().zip(&set).filter(|(a, b)| a < b).count()
}

fn threads(items: Arc<RwLock<Vec<Token>>>) -> usize {
    let (send, receive) = mpsc::channel();
    let total = Arc::new(Mutex::new(0usize));
    let handles: Vec<_> = (0..3)
        .map(|i| {
            let (items, send, total) = (items.clone(), send.clone(), total.clone());
            std::thread::spawn(move || {
                let sum = structures(&items.read().unwrap()) + i;
                *total.lock().unwrap() += sum;
                send.send(format!("{i}: {sum:#x}")).unwrap();
            })
        })
        .collect();
    drop(send);
    handles.into_iter().for_each(|h| h.join().unwrap());
    let sum = *total.lock().unwrap();
    receive.iter().map(|line| line.len()).sum::<usize>() + sum
}

fn copied(text: &str) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for line in Cursor::new(text).lines() {
        writeln!(out, "{:?}", line?.chars().rev().collect::<String>())?;
    }
    let mut again = Vec::new();
    Cursor::new(&out).take(1000).read_to_end(&mut again)?;
    Ok(again)
}

fn main() {
    let text = std::env::args().collect::<Vec<_>>().join(" ") + " a ( 1 2 ( b 3.5 ) ) c -7 a";
    let items = tokens(&text);
    let mut visitors: Vec<Box<dyn Visit>> = vec![Box::<Counting>::default(), Box::<Counting>::default()];
    for item in &items {
        visitors.iter_mut().for_each(|v| v.visit(item));
    }
    let shared = Rc::new(sorted(items.clone()));
    let lengths = summed(&shared, |t| t.to_string().len());
    let bytes = copied(&text).unwrap_or_default();
    println!("{lengths:?} {} {}", threads(Arc::new(RwLock::new(items))), bytes.len());
}
