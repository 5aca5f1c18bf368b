//! From a name to a TCP connection, when some of the name's addresses do not answer.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::settings::addable;

/// How long an attempt may go unanswered before the next address is tried beside it. RFC 8305, section 5, recommends 250 ms.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address of `address` that answers ("happy eyeballs", RFC 8305).
///
/// IPv6 and IPv4 addresses are tried in turn, in the order of the resolver otherwise. The next attempt begins 250 ms after the
/// one before, or as soon as that one has failed; attempts under way go on, and the first that succeeds wins. `timeout` is for all
/// of it, the look-up of a name included.
///
/// # Errors
/// What happened to each address, with the kind of the first error; `TimedOut` after the timeout.
pub async fn dial(address: impl ToSocketAddrs, timeout: Duration) -> io::Result<TcpStream> {
    dial_until(address, Instant::now() + addable(timeout)).await
}

pub(crate) async fn dial_until(
    address: impl ToSocketAddrs,
    deadline: Instant,
) -> io::Result<TcpStream> {
    let Ok(found) = timeout_at(deadline, lookup_host(address)).await else {
        let text = "the name was not resolved before the timeout";
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    };
    let addresses = families_in_turn(found?.collect());
    race(&addresses, deadline, TcpStream::connect).await
}

/// Keeps the first address first and the order within each family.
fn families_in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

async fn race<T, F>(
    addresses: &[SocketAddr],
    deadline: Instant,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut untried = addresses.iter();
    let mut attempts: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
    // When to begin the next attempt.
    let mut next = pin!(sleep_until(Instant::now()));
    let racing = poll_fn(|cx| {
        loop {
            let mut at = 0;
            while at < attempts.len() {
                match attempts[at].1.as_mut().poll(cx) {
                    Poll::Ready(Ok(connection)) => return Poll::Ready(Some(connection)),
                    Poll::Ready(Err(error)) => {
                        failures.push((attempts.remove(at).0, error));
                        next.as_mut().reset(Instant::now());
                    }
                    Poll::Pending => at += 1,
                }
            }
            if untried.as_slice().is_empty() {
                return if attempts.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            }
            std::task::ready!(next.as_mut().poll(cx));
            if let Some(&address) = untried.next() {
                attempts.push((address, Box::pin(connect(address))));
                next.as_mut().reset(Instant::now() + ATTEMPT_DELAY);
            }
        }
    });
    let ended = timeout_at(deadline, racing).await;
    if let Ok(Some(connection)) = ended {
        return Ok(connection);
    }
    for (address, _) in attempts {
        let no_answer = io::Error::new(io::ErrorKind::TimedOut, "no answer before the timeout");
        failures.push((address, no_answer));
    }
    Err(one_error(failures, ended.is_err()))
}

/// One error for all attempts. That of a single address needs no address beside it.
fn one_error(mut failures: Vec<(SocketAddr, io::Error)>, timed_out: bool) -> io::Error {
    if failures.len() < 2 {
        let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        return failures.pop().map_or_else(none, |(_, error)| error);
    }
    let kind = match timed_out {
        true => io::ErrorKind::TimedOut,
        false => failures[0].1.kind(),
    };
    let texts: Vec<_> =
        failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    io::Error::new(kind, texts.join("; "))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| address(text)).collect()
    }

    #[test]
    fn families_take_turns() {
        let order = families_in_turn(addresses(&[
            "[2001:db8::1]:1",
            "[2001:db8::2]:1",
            "[2001:db8::3]:1",
            "192.0.2.1:1",
        ]));
        let expected = ["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "[2001:db8::3]:1"];
        assert_eq!(order, addresses(&expected));
        let v4_first = families_in_turn(addresses(&["192.0.2.1:1", "[2001:db8::1]:1"]));
        assert_eq!(v4_first, addresses(&["192.0.2.1:1", "[2001:db8::1]:1"]));
        assert!(families_in_turn(Vec::new()).is_empty());
    }

    /// What an address does with an attempt: after so many ms it answers or refuses; or it never does anything.
    type Script<'a> = &'a [(&'a str, Option<(u64, bool)>)];

    /// Who won, and when each attempt began, by a clock that goes on when there is nothing to do.
    async fn run(script: Script<'_>, timeout: u64) -> (io::Result<SocketAddr>, Vec<(String, u64)>) {
        let start = Instant::now();
        let begun = RefCell::new(Vec::new());
        let all = addresses(&script.iter().map(|(text, _)| *text).collect::<Vec<_>>());
        let connect = |to: SocketAddr| {
            let after = start.elapsed().as_millis() as u64;
            begun.borrow_mut().push((to.ip().to_string(), after));
            let act = script.iter().find(|(text, _)| address(text) == to).unwrap().1;
            async move {
                let Some((ms, answers)) = act else { return std::future::pending().await };
                tokio::time::sleep(Duration::from_millis(ms)).await;
                if answers { Ok(to) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
            }
        };
        let result = race(&all, start + Duration::from_millis(timeout), connect).await;
        (result, begun.into_inner())
    }

    fn begun(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
        expected.iter().map(|(ip, after)| ((*ip).to_owned(), *after)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_address_costs_a_quarter_of_a_second() {
        let script: Script<'_> = &[("192.0.2.1:1", None), ("192.0.2.2:1", Some((10, true)))];
        let (winner, attempts) = run(script, 10_000).await;
        assert_eq!(winner.unwrap(), address("192.0.2.2:1"));
        assert_eq!(attempts, begun(&[("192.0.2.1", 0), ("192.0.2.2", 250)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_costs_no_wait_and_the_first_answer_wins() {
        let script: Script<'_> = &[
            ("192.0.2.1:1", Some((20, false))),
            ("192.0.2.2:1", Some((300, true))),
            ("192.0.2.3:1", Some((10, true))),
        ];
        let (winner, attempts) = run(script, 10_000).await;
        assert_eq!(winner.unwrap(), address("192.0.2.3:1"));
        assert_eq!(attempts, begun(&[("192.0.2.1", 0), ("192.0.2.2", 20), ("192.0.2.3", 270)]));
        // A slow answer counts even when others were begun later.
        let script: Script<'_> =
            &[("192.0.2.1:1", Some((400, true))), ("192.0.2.2:1", Some((400, true)))];
        assert_eq!(run(script, 10_000).await.0.unwrap(), address("192.0.2.1:1"));
    }

    #[tokio::test(start_paused = true)]
    async fn errors_name_every_address() {
        let script: Script<'_> =
            &[("192.0.2.1:1", Some((0, false))), ("[2001:db8::1]:1", Some((5, false)))];
        let error = run(script, 10_000).await.0.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert!(text.contains("192.0.2.1:1: ") && text.contains("; [2001:db8::1]:1: "), "{text}");

        let script: Script<'_> = &[("192.0.2.1:1", Some((0, false))), ("192.0.2.2:1", None)];
        let (result, _) = run(script, 1_000).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let text = error.to_string();
        assert!(text.ends_with("192.0.2.2:1: no answer before the timeout"), "{text}");

        let error = run(&[], 1_000).await.0.unwrap_err();
        assert_eq!(error.to_string(), "the name has no address");
    }
}
