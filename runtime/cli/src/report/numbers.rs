//! How a report writes numbers. Units are part of the text but for columns of microseconds, whose heading has them.

/// Digits that say something: three, and never an exponent.
pub fn significant(value: f64) -> String {
    match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Nanoseconds, in microseconds without the unit.
pub fn micros(ns: f64) -> String {
    significant(ns / 1e3)
}

/// Nanoseconds, with a unit.
pub fn time(ns: f64) -> String {
    if ns >= 1e7 { format!("{} ms", significant(ns / 1e6)) } else { format!("{} µs", micros(ns)) }
}

/// A fraction, in percent.
pub fn percent(fraction: f64) -> String {
    format!("{:.0}%", 100.0 * fraction)
}

/// A time over another.
pub fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}×")
}

/// A spread of times: a quotient that is rarely far from 1.
pub fn spread(spread: f64) -> String {
    format!("{spread:.2}")
}

/// What a ratio below 1 saves, and one above costs, in percent.
pub fn change(ratio: f64) -> String {
    let percent = (100.0 * (ratio - 1.0)).round();
    match percent {
        0.0 => "0%".to_owned(),
        percent if percent < 0.0 => format!("−{:.0}%", -percent),
        percent => format!("+{percent:.0}%"),
    }
}

/// 10⁹ operations per second.
pub fn gops(gops: f64) -> String {
    significant(gops)
}

/// Bytes per second.
pub fn bandwidth(gbps: f64) -> String {
    format!("{gbps:.1} GB/s")
}

/// Bytes of memory traffic, in powers of ten as bandwidths are.
pub fn traffic(bytes: f64) -> String {
    scaled(bytes, ["B", "kB", "MB", "GB"])
}

/// Operations.
pub fn operations(operations: f64) -> String {
    scaled(operations, ["op", "kop", "Mop", "Gop"])
}

fn scaled(value: f64, [one, kilo, mega, giga]: [&str; 4]) -> String {
    match value {
        value if value >= 1e9 => format!("{} {giga}", significant(value / 1e9)),
        value if value >= 1e6 => format!("{} {mega}", significant(value / 1e6)),
        value if value >= 1e3 => format!("{} {kilo}", significant(value / 1e3)),
        value => format!("{value:.0} {one}"),
    }
}

/// The size of a cache, in powers of two.
pub fn cache(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

/// So many of something.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A coordinate, in units of a drawing or in percent.
pub fn coordinate(value: f64) -> String {
    format!("{value:.1}")
}

/// The median: the mean of the middle two of an even number of values; none of none.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_say_enough() {
        assert_eq!([1_234.0, 12_340.0, 99_960.0, 1_234_567.0].map(micros), ["1.23", "12.3", "100", "1235"]);
        assert_eq!([99.0, 9_999_000.0, 12_345_678.0].map(time), ["0.10 µs", "9999 µs", "12.3 ms"]);
        assert_eq!([999.0, 9_437_184.0, 2.5e9].map(traffic), ["999 B", "9.44 MB", "2.50 GB"]);
        assert_eq!([48 << 10, 2 << 20].map(cache), ["48 KiB", "2 MiB"]);
    }

    #[test]
    fn changes_have_a_sign() {
        assert_eq!([0.93, 0.999, 1.004, 1.8].map(change), ["−7%", "0%", "0%", "+80%"]);
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
