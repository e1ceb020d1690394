//! What the kernel says of a process.

use std::fs;

use anyhow::Context;

/// What a process has used since it was started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time, user and system, in seconds.
    pub(crate) cpu: f64,
    /// Bytes that it caused to be written to disks.
    pub(crate) written: u64,
    /// Resident memory now, in bytes.
    pub(crate) resident: u64,
    /// System calls that read, and that write.
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

impl Usage {
    /// Of this process.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Usage> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).context(path)
        };
        let stat = read("stat")?;
        // The name of the program stands in parentheses and may hold anything.
        let fields = stat.rsplit_once(')').context("stat")?.1;
        let ticks = |at: usize| {
            fields
                .split_whitespace()
                .nth(at)
                .and_then(|field| field.parse::<f64>().ok())
        };
        let user = ticks(11).context("utime")?;
        let system = ticks(12).context("stime")?;
        let io = read("io")?;
        let status = read("status")?;
        Ok(Usage {
            cpu: (user + system) / rustix::param::clock_ticks_per_second() as f64,
            written: number(&io, "write_bytes:").context("write_bytes")?,
            resident: number(&status, "VmRSS:").context("VmRSS")? * 1024,
            reads: number(&io, "syscr:").context("syscr")?,
            writes: number(&io, "syscw:").context("syscw")?,
        })
    }

    /// What was used since `before`; memory is what there is now.
    pub(crate) fn since(self, before: Usage) -> Usage {
        Usage {
            cpu: self.cpu - before.cpu,
            written: self.written.saturating_sub(before.written),
            resident: self.resident,
            reads: self.reads.saturating_sub(before.reads),
            writes: self.writes.saturating_sub(before.writes),
        }
    }
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident > 100_000);
        assert_eq!(usage.since(usage).written, 0);
    }
}
