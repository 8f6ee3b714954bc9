//! Counts the instructions of a row, which are the same in every run, however busy the machine is.
//!
//! They are counted by valgrind, on the processor that it emulates: one with AVX2, and without ADX, AVX-512 and the
//! SHA instructions.

use std::path::Path;
use std::process::{Command, Output};

/// The instructions of one call, computed from two counts so that the setup cancels out. `None` if valgrind is not
/// installed.
pub(super) fn of_a_call(bench: &Path, row: &str) -> Option<f64> {
    const FEW: u32 = 1;
    const MORE: u32 = 4;
    let (few, more) = (count(bench, row, FEW)?, count(bench, row, MORE)?);
    Some((more - few) / f64::from(MORE.saturating_sub(FEW)))
}

/// Whether valgrind is installed.
pub(super) fn can_be_counted() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn count(bench: &Path, row: &str, calls: u32) -> Option<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(bench);
    valgrind.args(["--only", row, "--count", &calls.to_string()]);
    let Output { status, stderr, .. } = valgrind.output().ok()?;
    status.success().then(|| collected(&String::from_utf8_lossy(&stderr)))?
}

/// The number in the line `==1234== Collected : 5678`.
fn collected(report: &str) -> Option<f64> {
    let line = report.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_the_report() {
        let report = "==7== Events    : Ir\n==7== Collected : 7247606\n==7== \n";
        assert_eq!(collected(report), Some(7_247_606.0));
        assert_eq!(collected("==7== nothing"), None);
    }
}
