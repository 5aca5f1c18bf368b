//! A server whose handshakes a service does, and strangers that begin handshakes and say no more. The service's turns are few; strangers must
//! not keep them.

use std::time::Duration;

use alts::handshaker::RemoteHandshaker;
use alts::handshaker::service::HandshakerService;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;

use crate::files;
use crate::gauges::wait_until;
use crate::identities::Identities;
use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::tally::Tally;
use crate::target::{self, Target};

/// How long a silent stranger may keep a turn that another wants. Short, so that many of them get one.
const SILENT: Duration = Duration::from_millis(100);

/// A server that asks a service beside it.
fn target(most: usize) -> (Target, HandshakerService) {
    let identities = Identities::new();
    let path = identities.path().join("service");
    let service = HandshakerService::builder()
        .identity(files::load(identities.path(), "server"))
        .build()
        .expect("the limits are the usual ones");
    let remote = RemoteHandshaker::builder(format!("unix:{}", path.display()))
        .silent_peer_timeout(SILENT)
        // A busy machine is no fault.
        .answer_timeout(Duration::from_secs(300))
        .build()
        .expect("an address");
    let target = Target::launch(
        identities,
        remote,
        |_, limits| limits.half_open = most,
        |listener, acceptor, tally| target::accept(listener, acceptor, tally, service::echo),
    );
    let _inside = target.runtime.enter();
    let incoming = UnixListenerStream::new(UnixListener::bind(path).expect("a socket"));
    let server = tonic::transport::Server::builder().add_service(service.clone().into_server());
    target.runtime.spawn(async { server.serve_with_incoming(incoming).await.expect("it serves") });
    (target, service)
}

/// A hundred times 8 bytes, as many as there are turns, and more of them. The service is not even asked.
pub(crate) fn eight_bytes(row: &mut Row, scale: Scale) {
    let count = scale.of(400, 5_000);
    let (target, service) = target(count + 100);
    target.warm_up();
    let gauges = target.gauges();
    let mut strangers = target.helper("claims", &["first-message"]);
    let report = strangers.ask(&format!("open {count}"));
    let connections = report.get("connections");
    row.thrown(connections, report.get("bytes"), connections);
    wait_until(|| gauges.tasks() == count);
    row.require_count("handshakes at the service meanwhile", service.in_flight() as u64, 0);
    let mut visitors = target.helper("visitors", &[]);
    let honest = visitors.ask(&format!("visit {} 16", scale.of(100, 1_000)));
    row.honest(honest.get("asked"), honest.get("answered"), honest.get("lost"));
    drop((strangers, visitors));
    row.left_within(&gauges.left(), CACHES);
    row.require_count("handshakes at the service at the end", service.in_flight() as u64, 0);
}

/// Whole first messages, several times as many as there are turns, whose senders do not go on.
pub(crate) fn first_messages(row: &mut Row, scale: Scale) {
    let (sources, each) = (24_usize, scale.of(16, 40));
    let (target, service) = target(sources * each + 100);
    target.warm_up();
    let gauges = target.gauges();
    let words = [sources.to_string(), each.to_string()];
    let mut strangers = target.helper("flood", &words.each_ref().map(String::as_str));
    strangers.tell("hold");
    let count = sources * each;
    let all = || Tally::get(&target.tally.accepted) == count as u64;
    wait_until(|| all() && service.in_flight() > 0);
    let mut visitors = target.helper("visitors", &[]);
    let honest = visitors.ask(&format!("visit {} 16", scale.of(50, 500)));
    row.thrown(count as u64, 0, count as u64);
    row.honest(honest.get("asked"), honest.get("answered"), honest.get("lost"));
    row.require_at_most("handshakes at the service, at the end", service.in_flight() as u64, 100);
    drop((strangers, visitors));
    wait_until(|| service.in_flight() == 0);
    row.left_within(&gauges.left(), CACHES);
}

/// What the connection to the service, which is in the same process, may have grown to, in bytes.
const CACHES: i64 = 1 << 20;
