//! CPU and memory of a process, by /proc.

use std::fs;

use serde::Serialize;

/// Kernel ticks per second, the same on every Linux this runs on (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// One moment of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Moment {
    /// CPU time used so far, seconds.
    pub cpu_s: f64,
    /// Memory held, MB.
    pub rss_mb: f64,
}

/// Reads it; `None` when there is no such process.
pub fn moment(pid: u32) -> Option<Moment> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    parse(&stat, &status)
}

fn parse(stat: &str, status: &str) -> Option<Moment> {
    // The name in brackets may hold blanks and brackets; fields are counted behind it (proc(5): utime is the 14th, stime the 15th).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |k: usize| fields.get(k)?.parse::<f64>().ok();
    let kb: f64 = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))?
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse()
        .ok()?;
    Some(Moment { cpu_s: (ticks(11)? + ticks(12)?) / TICKS, rss_mb: kb / 1024.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let stat = "42 (a (b) c) S 1 1 1 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 4 0 1 1 1";
        let status = "Name:\ta\nVmRSS:\t  2048 kB\n";
        assert_eq!(parse(stat, status), Some(Moment { cpu_s: 2.0, rss_mb: 2.0 }));
        assert_eq!(parse("", status), None);
    }

    #[test]
    fn this_process_can_be_read() {
        assert!(moment(std::process::id()).is_some_and(|m| m.rss_mb > 1.0));
    }
}
