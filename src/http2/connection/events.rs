//! What happened to a connection, until the shell asks.

use std::collections::VecDeque;

use super::Event;

/// Events in their order. Most often one waits at a time, which takes no memory of its own.
#[derive(Debug)]
pub(super) struct Events<T> {
    next: Option<Event<T>>,
    /// None while there is no next one.
    later: VecDeque<Event<T>>,
}

impl<T> Default for Events<T> {
    fn default() -> Self {
        Self { next: None, later: VecDeque::new() }
    }
}

impl<T> Events<T> {
    pub(super) fn push(&mut self, event: Event<T>) {
        match self.next {
            None => self.next = Some(event),
            Some(_) => self.later.push_back(event),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event<T>> {
        let event = self.next.take()?;
        self.next = self.later.pop_front();
        Some(event)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.next.is_some()) + self.later.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_their_order() {
        let mut events = Events::<()>::default();
        let (mut pushed, mut popped) = (0, 0);
        for step in 1..20 {
            for _ in 0..step % 5 {
                events.push(Event::Opened(pushed));
                pushed += 1;
            }
            for _ in 0..step % 3 {
                let Some(Event::Opened(id)) = events.pop() else { break };
                assert_eq!(id, popped);
                popped += 1;
            }
            assert_eq!(events.len() as u32, pushed - popped);
            assert_eq!(events.is_empty(), pushed == popped);
        }
        assert!(pushed > popped && popped > 10);
    }
}
