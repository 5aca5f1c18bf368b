//! Renewal under load.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use alts_handshaker::identity::WorkloadApi;

use crate::agent::{Agent, eventually, identity_when};
use crate::authority::{Authority, CART, STOCK, answer, handshake, handshaker};

/// Without optimization a handshake takes so long that fewer have to do.
const HANDSHAKES: usize = if cfg!(debug_assertions) { 1_000 } else { 10_000 };

/// Client and server take their identities from the same agent, which renews both and replaces the authority again and again.
struct Rotation<'a> {
    agent: &'a Agent,
    sources: [&'a WorkloadApi; 2],
    done: &'a AtomicUsize,
}

impl Rotation<'_> {
    /// Both SVIDs from `issuer`, with these authorities in the bundle; waits until both sides have them, and until no handshake
    /// is in progress that began before.
    fn give(&self, issuer: &Authority, bundle: &[&Authority]) {
        let svids = [CART, STOCK].map(|id| {
            let mut svid = issuer.svid(id);
            svid.bundle = bundle.iter().flat_map(|authority| authority.der.clone()).collect();
            svid
        });
        let leaves = [0, 1].map(|place| svids[place].chain.clone());
        self.agent.say(answer(svids));
        for (source, leaf) in self.sources.iter().zip(leaves) {
            identity_when(source, |identity| *identity.chain()[0] == *leaf);
        }
        let before = self.done.load(Ordering::SeqCst);
        eventually(|| self.done.load(Ordering::SeqCst) >= (before + 2).min(HANDSHAKES));
    }
}

#[test]
fn no_handshake_fails_while_everything_is_renewed() {
    let agent = Agent::new();
    let mut authority = Authority::new("first");
    agent.say(answer([authority.svid(CART), authority.svid(STOCK)]));
    let cart = agent.source();
    let stock = agent.builder().spiffe_id(STOCK.parse().unwrap()).start().unwrap();
    identity_when(&stock, |_| true);
    let (done, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let rotation = Rotation { agent: &agent, sources: [&cart, &stock], done: &done };
    let rounds = thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            let mut rounds = 0;
            while !is_over.load(Ordering::SeqCst) {
                let next = Authority::new("next");
                // As SPIRE does it: the new authority is known before it issues, and the old one leaves after its last leaf.
                rotation.give(&authority, &[&authority, &next]);
                rotation.give(&next, &[&authority, &next]);
                rotation.give(&next, &[&next]);
                authority = next;
                rounds += 1;
            }
            rounds
        });
        let (client, server) = (handshaker(&cart), handshaker(&stock));
        for number in 0..HANDSHAKES {
            let names = handshake(&client, &server);
            if let Err(fault) = &names {
                is_over.store(true, Ordering::SeqCst);
                done.store(HANDSHAKES, Ordering::SeqCst);
                panic!("handshake {number}: {fault}");
            }
            assert_eq!(names.unwrap(), (CART.to_owned(), STOCK.to_owned()));
            done.fetch_add(1, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::SeqCst);
        rotating.join().unwrap()
    });
    assert!(rounds > 0);
    assert!(cart.reloads() > 3 * rounds, "{} reloads in {rounds} rounds", cart.reloads());
    assert_eq!((cart.failures(), stock.failures()), (0, 0));
    println!("{HANDSHAKES} handshakes, {rounds} authorities, {} reloads", cart.reloads());
}
