//! A Python beside a benchmark: it does what it is asked for, a line at a time, and answers with numbers.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub type Failure = Box<dyn std::error::Error>;

/// Processor seconds of this process, all threads; zero where the system doesn't tell as Linux does.
pub fn cpu_secs() -> Result<f64, Failure> {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return Ok(0.0);
    };
    // After the name in parentheses: fields 14 and 15, in hundredths.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

pub struct Python {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Python {
    /// `script`: in this folder.
    pub fn start(python: &Path, script: &str, arguments: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(python)
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("benches")
                    .join(script),
            )
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(ask), Some(answer)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipe to Python".into());
        };
        Ok(Self {
            child,
            ask,
            answer: BufReader::new(answer),
        })
    }

    pub fn ask(&mut self, what: &str) -> Result<Vec<f64>, Failure> {
        writeln!(self.ask, "{what}")?;
        let mut line = String::new();
        self.answer.read_line(&mut line)?;
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        match numbers {
            Ok(numbers) if !numbers.is_empty() => Ok(numbers),
            _ => Err(format!("Python answered {line:?} ({:?})", self.child.try_wait()).into()),
        }
    }
}
