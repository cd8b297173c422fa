//! CPU time of the node.

use eyre::{Result, WrapErr, eyre};
use std::time::Duration;

/// Unit of the times in `/proc`: Linux tells them in hundredths of a second whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used so far, in user and in kernel mode.
pub(super) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).wrap_err_with(|| format!("can't read {path}"))?;
    parse(&stat).ok_or_else(|| eyre!("{path} has an unknown form"))
}

/// proc(5): fields 14 and 15, `utime` and `stime`; the second field is a name in brackets, which may hold anything.
fn parse(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u32>);
    let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
    TICK.checked_mul(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_behind_the_name() {
        let stat = "7 (a ) 1 2 (x) S 1 7 7 0 -1 4194560 26 0 1 0 150 50 9 9 20 0 1 0 17";
        assert_eq!(parse(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse("7 (a) S 1 7"), None);
        assert_eq!(parse("nothing"), None);
        assert!(cpu_time(std::process::id()).is_ok());
        assert!(cpu_time(u32::MAX).unwrap_err().to_string().contains("/proc/4294967295/stat"));
    }
}
