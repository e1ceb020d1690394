//! What comes out: for people, or as JSON for programs.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::measure::Usage;

/// Figures of one phase of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    /// Messages sent, or for a fan-out or a fetch, delivered.
    pub(crate) count: usize,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    /// SEND to SEND_ACK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ack: Option<Latency>,
    /// SEND to the arrival of MESSAGE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delivery: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<Cost>,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
}

/// What it cost the server.
#[derive(Debug, Serialize)]
pub(crate) struct Cost {
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_seconds_per_100k: f64,
    pub(crate) written_bytes: u64,
    pub(crate) written_bytes_each: f64,
    pub(crate) resident_bytes: u64,
    /// Calls of the read and write family, not those of sockets by other names.
    pub(crate) reads_each: f64,
    pub(crate) writes_each: f64,
}

/// The figures of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) phases: Vec<Phase>,
}

impl Phase {
    pub(crate) fn new(
        name: impl Into<String>,
        count: usize,
        took: Duration,
        usage: Option<Usage>,
    ) -> Phase {
        let seconds = took.as_secs_f64();
        let each = |sum: u64| sum as f64 / count.max(1) as f64;
        let server = usage.map(|usage| Cost {
            cpu_seconds: usage.cpu,
            cpu_seconds_per_100k: usage.cpu * 100_000.0 / count.max(1) as f64,
            written_bytes: usage.written,
            written_bytes_each: each(usage.written),
            resident_bytes: usage.resident,
            reads_each: each(usage.reads),
            writes_each: each(usage.writes),
        });
        let per_second = count as f64 / seconds.max(f64::EPSILON);
        Phase {
            name: name.into(),
            count,
            seconds,
            per_second,
            ack: None,
            delivery: None,
            server,
        }
    }
}

impl Latency {
    /// Of these times. `None` if there are none.
    pub(crate) fn of(mut times: Vec<Duration>) -> Option<Latency> {
        times.sort_unstable();
        let at = |share: usize| {
            let time = times.get((times.len() * share / 100).min(times.len().checked_sub(1)?))?;
            u64::try_from(time.as_micros()).ok()
        };
        Some(Latency {
            p50_us: at(50)?,
            p99_us: at(99)?,
        })
    }
}

impl Report {
    /// Prints to standard output. That nobody reads it is no failure.
    pub(crate) fn print(&self, json: bool) {
        let mut out = io::stdout().lock();
        let _ = if json {
            self.print_json(&mut out)
        } else {
            self.print_text(&mut out)
        };
    }

    fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    fn print_text(&self, out: &mut impl Write) -> io::Result<()> {
        for phase in &self.phases {
            writeln!(
                out,
                "{}: {} in {:.2} s, {:.0}/s",
                phase.name, phase.count, phase.seconds, phase.per_second
            )?;
            for (what, latency) in [("SEND_ACK", phase.ack), ("MESSAGE ", phase.delivery)] {
                if let Some(latency) = latency {
                    writeln!(
                        out,
                        "  {what}  p50 {} us, p99 {} us",
                        latency.p50_us, latency.p99_us
                    )?;
                }
            }
            if let Some(cost) = &phase.server {
                writeln!(
                    out,
                    "  server    {:.2} CPU s ({:.3} per 100,000), {:.0} bytes written each, {:.2} reads and {:.2} writes \
                     each, {:.1} MB resident",
                    cost.cpu_seconds,
                    cost.cpu_seconds_per_100k,
                    cost.written_bytes_each,
                    cost.reads_each,
                    cost.writes_each,
                    cost.resident_bytes as f64 / 1e6,
                )?;
            }
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times = (1..=100).rev().map(Duration::from_micros).collect();
        let latency = Latency::of(times).unwrap();
        assert_eq!((latency.p50_us, latency.p99_us), (51, 100));
        assert!(Latency::of(Vec::new()).is_none());
        assert_eq!(
            Latency::of(vec![Duration::from_micros(7)]).unwrap().p99_us,
            7
        );
    }
}
