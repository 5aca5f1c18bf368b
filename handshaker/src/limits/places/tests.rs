//! Places and turns, without a clock or a runtime.

use super::*;

const BOUNDS: Bounds = Bounds { places: 2, places_per_source: 2, silent: 4, queue: 4 };

/// Connections of the sources `1` and so on, by number.
struct Scene {
    places: Places<u32>,
    verdicts: Vec<(Option<u32>, Receiver<Verdict>)>,
}

impl Scene {
    fn new(bounds: Bounds) -> Self {
        Self { places: Places::new(bounds), verdicts: Vec::new() }
    }

    fn arrive(&mut self, source: u32) -> Id {
        let source = Some(source).filter(|source| *source > 0);
        let (id, receiver) = self.places.arrive(source);
        assert_eq!(id, self.verdicts.len() as Id);
        self.verdicts.push((source, receiver));
        self.send();
        id
    }

    fn speak(&mut self, source: u32) -> Id {
        let id = self.arrive(source);
        self.places.spoken(self.verdicts[id as usize].0, id);
        self.send();
        id
    }

    fn release(&mut self, source: u32) {
        self.places.release(Some(source));
        self.send();
    }

    fn send(&mut self) {
        for notice in self.places.take_notices() {
            notice.to.send(notice.verdict).unwrap();
        }
    }

    /// What has been decided since the last call, in the order of arrival.
    fn decided(&mut self) -> Vec<(Id, Verdict)> {
        let verdicts = self.verdicts.iter_mut().enumerate();
        verdicts
            .filter_map(|(id, (_, receiver))| Some((id as Id, receiver.try_recv().ok()?)))
            .collect()
    }
}

use Verdict::{Admitted, Displaced};

#[test]
fn silence_takes_no_place() {
    let mut scene = Scene::new(BOUNDS);
    for _ in 0..4 {
        scene.arrive(1);
    }
    let spoken = scene.speak(1);
    // It came as one of too many silent ones, though.
    assert_eq!(scene.decided(), [(0, Displaced), (spoken, Admitted)]);
    assert_eq!((scene.places.held(), scene.places.waiting()), (1, 3));
}

#[test]
fn the_silent_of_the_most_crowded_source_make_room() {
    let mut scene = Scene::new(BOUNDS);
    for source in [1, 2, 2, 3] {
        scene.arrive(source);
    }
    scene.arrive(4);
    assert_eq!(scene.decided(), [(1, Displaced)]);
    // All have one: the longest silent goes.
    scene.arrive(5);
    assert_eq!(scene.decided(), [(0, Displaced)]);
    // One's own source is the most crowded.
    scene.arrive(5);
    assert_eq!(scene.decided(), [(4 + 1, Displaced)]);
}

#[test]
fn sources_take_turns_and_each_is_served_in_order() {
    let mut scene = Scene::new(Bounds { places: 1, queue: 10, silent: 10, ..BOUNDS });
    for source in [1, 1, 1, 1, 2, 3, 2] {
        scene.speak(source);
    }
    let mut order = scene.decided();
    for source in [1, 1, 2, 3, 1, 2] {
        scene.release(source);
        order.extend(scene.decided());
    }
    let order: Vec<_> = order
        .into_iter()
        .map(|(id, verdict)| {
            assert_eq!(verdict, Admitted);
            id
        })
        .collect();
    assert_eq!(order, [0, 1, 4, 5, 2, 6, 3]);
}

#[test]
fn a_source_has_so_many_places_and_no_more() {
    let mut scene = Scene::new(Bounds { places: 10, ..BOUNDS });
    for source in [1, 1, 1, 2, 0, 0, 0] {
        scene.speak(source);
    }
    let admitted: Vec<_> = scene.decided().into_iter().map(|(id, _)| id).collect();
    assert_eq!(admitted, [0, 1, 3, 4, 5, 6]);
    scene.release(2);
    assert_eq!(scene.decided(), []);
    scene.release(1);
    assert_eq!(scene.decided(), [(2, Admitted)]);
}

#[test]
fn a_full_queue_costs_the_source_that_fills_it() {
    let mut scene = Scene::new(Bounds { places: 1, ..BOUNDS });
    for _ in 0..5 {
        scene.speak(1);
    }
    assert_eq!(scene.decided(), [(0, Admitted)]);
    let (sixth, other) = (scene.speak(1), scene.speak(2));
    assert_eq!(scene.decided(), [(4, Displaced), (sixth, Displaced)]);
    scene.release(1);
    scene.release(1);
    assert_eq!(scene.decided(), [(1, Admitted), (other, Admitted)]);
}

#[test]
fn silence_displaces_nobody_that_has_spoken() {
    let mut scene = Scene::new(BOUNDS);
    for _ in 0..6 {
        scene.speak(1);
    }
    scene.decided();
    for source in 2..100 {
        scene.arrive(source);
    }
    let displaced = scene.decided();
    assert_eq!(displaced.len(), 94);
    assert!(displaced.iter().all(|(id, _)| *id >= 6));
    assert_eq!(scene.places.queued.count, 4);
}

#[test]
fn nothing_is_kept_about_sources_that_are_gone() {
    let mut scene = Scene::new(Bounds { places: 1, ..BOUNDS });
    scene.speak(1);
    let (queued, silent) = (scene.speak(2), scene.arrive(3));
    assert_eq!(scene.places.sources.len(), 3);
    assert!(scene.places.withdraw(Some(2), queued));
    assert!(scene.places.withdraw(Some(3), silent));
    assert!(!scene.places.withdraw(Some(3), silent));
    assert!(!scene.places.withdraw(Some(1), 0));
    scene.release(1);
    let Places { sources, turns, held, silent, queued, .. } = &scene.places;
    assert!(sources.is_empty() && turns.is_empty() && *held == 0);
    assert!(silent.ranks.is_empty() && queued.ranks.is_empty());
    assert_eq!(scene.places.waiting(), 0);
}
