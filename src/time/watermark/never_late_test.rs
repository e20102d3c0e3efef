//! A record that is not late at its split's generator is late nowhere, unless its split was idle:
//! random layered graphs of merges, with edges that keep order and delay at will.
//!
//! A source partition merges its splits. From there on every node of a layer tells its progress to
//! all nodes of the next, over one edge each, and sends each record to one of them. Where an input
//! goes active again, the merged time that it finds there is the one excuse that the records
//! behind it have for being late, there and further on.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;
use crate::time::watermark::{BoundedDisorder, Inputs, Progress, WatermarkGenerator};

/// A random number generator that is the same everywhere (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    time: Timestamp,
    /// Being late is excused up to here.
    excused_to: Timestamp,
}

#[derive(Clone, Copy, Debug)]
enum Message {
    Record(Record),
    Progress(Progress),
    End,
}

struct Split {
    generator: BoundedDisorder,
    /// What the records' times are scattered about.
    now: i64,
    /// `None`: it has ended.
    is_idle: Option<bool>,
}

struct Node {
    inputs: Inputs,
    edges: Vec<VecDeque<Message>>,
    /// Per input: whether it is idle, and the merged time when it last came back.
    is_idle: Vec<bool>,
    excused_to: Vec<Timestamp>,
    told: Timestamp,
}

impl Node {
    fn new(inputs: usize) -> Node {
        Node {
            inputs: Inputs::new(inputs),
            edges: (0..inputs).map(|_| VecDeque::new()).collect(),
            is_idle: vec![false; inputs],
            excused_to: vec![Timestamp::MIN; inputs],
            told: Timestamp::MIN,
        }
    }
}

struct Graph {
    chance: Chance,
    seed: u64,
    /// Splits of each source partition, which is the node of layer 0 with the same index.
    splits: Vec<Vec<Split>>,
    layers: Vec<Vec<Node>>,
    disorder: usize,
    may_idle: bool,
    late: usize,
    delivered: usize,
}

impl Graph {
    fn new(seed: u64, may_idle: bool) -> Graph {
        let mut chance = Chance(seed);
        let disorder = chance.below(40);
        let generator = BoundedDisorder::new(Duration::from_millis(disorder as u64));
        let split = |_| Split { generator, now: 0, is_idle: Some(false) };
        let splits: Vec<Vec<Split>> =
            (0..1 + chance.below(3)).map(|_| (0..chance.below(4)).map(split).collect()).collect();
        let mut layers = vec![splits.iter().map(|of| Node::new(of.len())).collect::<Vec<_>>()];
        for _ in 0..1 + chance.below(3) {
            let inputs = layers[layers.len() - 1].len();
            layers.push((0..1 + chance.below(3)).map(|_| Node::new(inputs)).collect());
        }
        let mut graph =
            Graph { chance, seed, splits, layers, disorder, may_idle, late: 0, delivered: 0 };
        for index in 0..graph.layers[0].len() {
            if graph.layers[0][index].inputs.is_idle() {
                graph.tell((0, index), Message::Progress(Progress::Idle));
                graph.tell((0, index), Message::End);
            }
        }
        graph
    }

    /// Puts `message` of a node on its edges to the next layer.
    fn tell(&mut self, (layer, node): (usize, usize), message: Message) {
        if let Message::Progress(Progress::Watermark(at)) = message {
            let told = &mut self.layers[layer][node].told;
            assert!(at >= *told, "seed {}: {at} was told after {told}", self.seed);
            *told = at;
        }
        let Some(next) = self.layers.get_mut(layer + 1) else { return };
        match message {
            Message::Record(_) => {
                let target = self.chance.below(next.len());
                next[target].edges[node].push_back(message);
            }
            Message::Progress(_) | Message::End => {
                next.iter_mut().for_each(|target| target.edges[node].push_back(message));
            }
        }
    }

    /// Something has come to `input` of a node.
    fn receive(&mut self, (layer, index): (usize, usize), input: usize, message: Message) {
        let node = &mut self.layers[layer][index];
        match message {
            Message::Record(mut record) => {
                record.excused_to = record.excused_to.max(node.excused_to[input]);
                self.delivered += 1;
                if record.time <= node.inputs.watermark() {
                    self.late += 1;
                    let seed = self.seed;
                    assert!(record.time <= record.excused_to, "seed {seed}: {record:?} is late");
                }
                self.tell((layer, index), Message::Record(record));
            }
            Message::Progress(said) => {
                if node.is_idle[input] && said != Progress::Idle {
                    node.excused_to[input] = node.inputs.watermark();
                }
                node.is_idle[input] = said == Progress::Idle;
                let answer = match said {
                    Progress::Watermark(at) => node.inputs.advance(input, at),
                    Progress::Idle => node.inputs.set_idle(input),
                };
                self.answer((layer, index), answer);
            }
            Message::End => {
                let answer = node.inputs.end(input);
                let has_ended = node.inputs.has_ended();
                self.answer((layer, index), answer);
                if has_ended {
                    self.tell((layer, index), Message::End);
                }
            }
        }
    }

    fn answer(&mut self, node: (usize, usize), answer: Option<Progress>) {
        if let Some(progress) = answer {
            self.tell(node, Message::Progress(progress));
        }
    }

    /// A split reads a batch and tells its watermark, or goes idle, or ends.
    fn read(&mut self, index: usize, at: usize) {
        let split = &mut self.splits[index][at];
        let Some(is_idle) = split.is_idle else { return };
        if self.chance.one_in(60) {
            split.is_idle = None;
            return self.receive((0, index), at, Message::End);
        }
        if self.may_idle && self.chance.one_in(12) {
            split.is_idle = Some(true);
            return self.receive((0, index), at, Message::Progress(Progress::Idle));
        }
        split.is_idle = Some(false);
        if is_idle {
            let node = &mut self.layers[0][index];
            node.excused_to[at] = node.inputs.watermark();
            node.is_idle[at] = false;
            let answer = node.inputs.set_active(at);
            self.answer((0, index), answer);
        }
        for _ in 0..self.chance.below(5) {
            let split = &mut self.splits[index][at];
            split.now += self.chance.below(20) as i64;
            // Now and then beyond the bound, so that some are late at the generator.
            let behind = self.chance.below(self.disorder + self.disorder / 4 + 1) as i64;
            let time = Timestamp::from(split.now - behind);
            let is_late = time <= self.told_by(index, at);
            self.splits[index][at].generator.observe(&(), time);
            if !is_late {
                let record = Record { time, excused_to: Timestamp::MIN };
                self.receive((0, index), at, Message::Record(record));
            }
        }
        let watermark = self.told_by(index, at);
        self.receive((0, index), at, Message::Progress(Progress::Watermark(watermark)));
    }

    fn told_by(&self, index: usize, at: usize) -> Timestamp {
        WatermarkGenerator::<()>::watermark(&self.splits[index][at].generator)
    }

    /// Does one thing at random: a split reads, or an edge delivers.
    fn step(&mut self) {
        let layer = self.chance.below(self.layers.len());
        let index = self.chance.below(self.layers[layer].len());
        let inputs = self.layers[layer][index].edges.len();
        if inputs == 0 {
            return;
        }
        let input = self.chance.below(inputs);
        if layer == 0 {
            self.read(index, input);
        } else if let Some(message) = self.layers[layer][index].edges[input].pop_front() {
            self.receive((layer, index), input, message);
        }
    }

    fn deliver_all(&mut self) {
        for layer in 1..self.layers.len() {
            for index in 0..self.layers[layer].len() {
                for input in 0..self.layers[layer - 1].len() {
                    self.deliver((layer, index), input);
                }
            }
        }
    }

    fn deliver(&mut self, (layer, index): (usize, usize), input: usize) {
        while let Some(message) = self.layers[layer][index].edges[input].pop_front() {
            self.receive((layer, index), input, message);
        }
    }

    fn end_all(&mut self) {
        for index in 0..self.splits.len() {
            for at in 0..self.splits[index].len() {
                self.receive((0, index), at, Message::End);
            }
        }
        self.deliver_all();
    }
}

fn run(seeds: std::ops::Range<u64>, may_idle: bool) -> (usize, usize) {
    let mut total = (0, 0);
    for seed in seeds {
        let mut graph = Graph::new(seed, may_idle);
        (0..600).for_each(|_| graph.step());
        graph.deliver_all();
        graph.end_all();
        for node in graph.layers.iter().skip(1).flatten() {
            assert_eq!(node.told, Timestamp::MAX, "seed {seed}: the end was not told");
        }
        total = (total.0 + graph.delivered, total.1 + graph.late);
    }
    total
}

#[test]
fn record_not_late_at_its_generator_is_late_nowhere() {
    let (delivered, late) = run(0..400, false);
    println!("seeds 0..400: {delivered} records at nodes, {late} late");
    assert!(delivered > 100_000, "{delivered} records test little");
    assert_eq!(late, 0);
}

#[test]
fn record_is_late_only_by_what_passed_while_its_split_was_idle() {
    let (delivered, late) = run(1_000..1_600, true);
    println!("seeds 1000..1600: {delivered} records at nodes, {late} late and excused");
    assert!(late > 100, "{late} late records test little");
}
