//! Many honest clients at once, as behind one address or after a restart: with the limits that are the default, nobody is turned away.

#[cfg(feature = "tonic")]
use std::sync::Arc;

#[cfg(feature = "tonic")]
use alts::Acceptor;
use alts::handshaker::LimitOptions;
#[cfg(feature = "tonic")]
use tokio::net::TcpListener;

#[cfg(feature = "tonic")]
use crate::gauges::descriptors;
use crate::gauges::wait_until;
use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::tally::{OVERLOADED, Tally};
use crate::target::Target;

/// Several times as many as one address may have places.
pub(crate) fn one_address(row: &mut Row, scale: Scale) {
    let target = Target::start(|_, limits| *limits = LimitOptions::default(), service::echo);
    visited(row, &target, &[], scale.of(250, 1_000));
}

/// Connectors have limits as well, which are about strangers: a program does not refuse itself.
pub(crate) fn one_client(row: &mut Row, scale: Scale) {
    let target = Target::start(|_, _| (), service::echo);
    visited(row, &target, &["default"], scale.of(300, 3_000));
}

fn visited(row: &mut Row, target: &Target, words: &[&str], count: u64) {
    target.warm_up();
    let gauges = target.gauges();
    let mut visitors = target.helper("visitors", words);
    let honest = visitors.ask(&format!("visit {count} {count}"));
    row.thrown(0, 0, 0);
    row.honest(honest.get("asked"), honest.get("answered"), honest.get("lost"));
    row.note("until all were answered, ms", honest.get("ms"));
    row.require_count("told that there is no room", honest.get("overloaded"), 0);
    row.require_count("told that it took too long", honest.get("late"), 0);
    drop(visitors);
    wait_until(|| Tally::get(&target.tally.ended) == Tally::get(&target.tally.accepted));
    row.require_count("server: refused", target.tally.ended(OVERLOADED), 0);
    row.left(&gauges.left());
}

/// Channels of tonic, each with a connection of its own.
#[cfg(feature = "tonic")]
pub(crate) fn channels(row: &mut Row, scale: Scale) {
    use tonic::transport::Server;

    use crate::grpc::{EchoServer, EchoService};

    called(row, scale, "tonic", |listener, acceptor, _| async move {
        let incoming = acceptor.incoming(listener);
        let server = Server::builder().add_service(EchoServer::new(EchoService));
        server.serve_with_incoming(incoming).await.expect("it serves");
    });
}

/// The same on this crate's HTTP/2, both ends.
#[cfg(feature = "tonic")]
pub(crate) fn own_channels(row: &mut Row, scale: Scale) {
    use tonic::service::Routes;

    use crate::grpc::{EchoServer, EchoService};

    called(row, scale, "own", |listener, acceptor, _| async move {
        let incoming = acceptor.incoming(listener);
        let routes = Routes::new(EchoServer::new(EchoService)).prepare();
        alts::tonic::Server::new().serve(incoming, routes).await;
    });
}

#[cfg(feature = "tonic")]
fn called<F>(
    row: &mut Row,
    scale: Scale,
    kind: &str,
    serving: impl FnOnce(TcpListener, Acceptor, Arc<Tally>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let identities = crate::identities::Identities::new();
    let handshaker = crate::identities::server(identities.path());
    let defaults = |_: &mut _, limits: &mut LimitOptions| *limits = LimitOptions::default();
    let target = Target::launch(identities, handshaker, defaults, serving);
    // Tables grow once.
    let before = descriptors();
    target.helper("channels", &[kind]).ask("call 20");
    wait_until(|| descriptors() <= before);
    let gauges = target.gauges();
    let mut channels = target.helper("channels", &[kind]);
    let honest = channels.ask(&format!("call {}", scale.of(120, 800)));
    row.thrown(0, 0, 0);
    row.honest(honest.get("asked"), honest.get("answered"), honest.get("lost"));
    row.note("until all were answered, ms", honest.get("ms"));
    drop(channels);
    row.left_within(&gauges.left(), 1 << 20);
}
