//! Lines from standard input, and answers to them.

use std::io::BufRead;

/// Obeys until there are no more orders: the program that gave them has ended or is done.
pub(super) fn obey(mut order: impl FnMut(&str, &[usize]) -> Vec<f64>) -> ! {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("an order");
        let mut words = line.split(' ');
        let verb = words.next().unwrap_or_default();
        let numbers: Vec<usize> =
            words.map(|word| word.parse().expect("a number in an order")).collect();
        let figures = order(verb, &numbers);
        println!("{}", figures.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    }
    std::process::exit(0)
}
