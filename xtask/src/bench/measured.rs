//! Parses the machine-readable output of a benchmark: a name and numbers, separated by tabs, one row on each line.

use std::collections::BTreeMap;

/// Numbers by the name of their row.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// The names in their original order.
    pub(super) names: Vec<String>,
    numbers: BTreeMap<String, Vec<f64>>,
}

impl Measured {
    /// Lines that are not rows are ignored.
    pub(super) fn parse(output: &str) -> Self {
        let mut measured = Self::default();
        for line in output.lines() {
            let mut columns = line.split('\t');
            let (name, numbers) = (columns.next().unwrap_or_default(), columns);
            let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
            if !numbers.is_empty() {
                measured.names.push(name.to_owned());
                measured.numbers.insert(name.to_owned(), numbers);
            }
        }
        measured
    }

    /// The number in a column of a row, if there is one. A zero means that there is none.
    pub(super) fn number(&self, name: &str, column: usize) -> Option<f64> {
        self.numbers.get(name)?.get(column).copied().filter(|number| *number != 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_parsed_and_other_lines_ignored() {
        let measured = Measured::parse("hello\nencrypt, one way\t1\t3210.5\t0\n\nempty\t\n");
        assert_eq!(measured.names, ["encrypt, one way"]);
        assert_eq!(measured.number("encrypt, one way", 1), Some(3210.5));
        assert_eq!(measured.number("encrypt, one way", 2), None);
        assert_eq!(measured.number("encrypt, one way", 3), None);
        assert_eq!(measured.number("empty", 0), None);
    }
}
