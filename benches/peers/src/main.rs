//! The same work on timely, Renoir, a plain loop and Millstream: interleaved runs, medians, ratios.

mod case;
mod child;
mod cores;
mod feed;
mod options;
mod ours;
mod plain;
mod renoir_peer;
mod timely_peer;
mod work;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why there is no result, and the exit code that says so.
#[derive(Debug)]
pub struct Fault {
    text: String,
    code: u8,
}

impl Fault {
    /// The command line is wrong.
    pub fn usage(text: impl Into<String>) -> Fault {
        Fault { text: text.into(), code: 64 }
    }

    /// A run failed, or two disagree.
    pub fn failed(text: impl Into<String>) -> Fault {
        Fault { text: text.into(), code: 70 }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let order = child::Order {
        contender: work::contenders().find(|c| c.name == args[1]).unwrap(),
        case: case::Case::named(&args[2]).unwrap(),
        shape: args[3].clone(),
        cores: vec![0, 1],
        seed: 1,
        seconds: args[4].parse().unwrap(),
    };
    match child::run(&order) {
        Ok(value) => {
            let v = |n: &str| value[n].as_f64().unwrap();
            println!("{:16} {:14} {:40} {:7.1} M/s  {}", args[1], args[2], args[3], v("records") / v("seconds") / 1e6, value);
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("{}", fault.text);
            ExitCode::from(fault.code)
        }
    }
}
