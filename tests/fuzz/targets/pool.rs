//! Operations on the pool and on a model of it, which knows the rules and no memory: never two owners, never beyond the cap,
//! nothing lost, everybody served in turn and woken once, and the gauges right after each step.

use std::collections::{BTreeMap, VecDeque};
use std::task::Poll;

use alts::pool::{BufferPool, PoolError, PooledBuf, Retention};

use crate::FEW;
use crate::choices::Choices;
use crate::wakers::Caller;

const KIB: usize = 1 << 10;
/// What each buffer has beyond its class.
const EXTRA: usize = 512;
/// A buffer of the smallest class, as it counts.
const SMALL: usize = 4 * KIB + EXTRA;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Account {
    Cap,
    Overdraft,
    Beyond,
}

#[derive(Default)]
struct Model {
    cap: usize,
    used: usize,
    overdraft: usize,
    beyond: usize,
    high_water: usize,
    served: u64,
    growing: VecDeque<(u64, usize)>,
    ordinary: VecDeque<(u64, usize)>,
    granted: BTreeMap<u64, (Account, usize)>,
}

impl Model {
    fn account(&mut self, account: Account) -> &mut usize {
        match account {
            Account::Cap => &mut self.used,
            Account::Overdraft => &mut self.overdraft,
            Account::Beyond => &mut self.beyond,
        }
    }

    fn serve(&mut self, account: Account, size: usize) {
        *self.account(account) += size;
        self.served += 1;
        self.high_water = self.high_water.max(self.used + self.overdraft + self.beyond);
    }

    fn give_back(&mut self, (account, size): (Account, usize)) {
        *self.account(account) -= size;
        self.grant();
    }

    fn grant(&mut self) {
        while let Some(&(id, size)) = self.growing.front() {
            let account = if self.used + size <= self.cap {
                Account::Cap
            } else if self.overdraft == 0 {
                Account::Overdraft
            } else if size <= self.cap {
                return;
            } else {
                break;
            };
            self.growing.pop_front();
            self.serve(account, size);
            self.granted.insert(id, (account, size));
        }
        while let Some(&(id, size)) = self.ordinary.front() {
            if self.used + size > self.cap {
                return;
            }
            self.ordinary.pop_front();
            self.serve(Account::Cap, size);
            self.granted.insert(id, (Account::Cap, size));
        }
    }

    fn leave(&mut self, id: u64) {
        if let Some(grant) = self.granted.remove(&id) {
            return self.give_back(grant);
        }
        self.growing.retain(|waiter| waiter.0 != id);
        self.ordinary.retain(|waiter| waiter.0 != id);
        self.grant();
    }
}

struct Held {
    buffer: PooledBuf,
    mark: u64,
    account: Account,
}

struct Waiting {
    caller: Caller,
    id: u64,
    request: usize,
    growing: bool,
}

struct Run {
    pool: BufferPool,
    model: Model,
    retention: Retention,
    held: Vec<Held>,
    waiting: Vec<Waiting>,
    next: u64,
}

impl Run {
    fn hold(&mut self, mut buffer: PooledBuf, account: Account) {
        self.next += 1;
        let mark = self.next;
        let end = buffer.len() - 8;
        buffer[..8].copy_from_slice(&mark.to_be_bytes());
        buffer[end..].copy_from_slice(&mark.to_be_bytes());
        self.held.push(Held { buffer, mark, account });
    }

    fn put(&mut self, held: Held, frozen: bool) {
        let Held { buffer, mark, account } = held;
        let size = buffer.capacity();
        let mark = mark.to_be_bytes();
        assert_eq!((&buffer[..8], &buffer[size - 8..]), (&mark[..], &mark[..]), "two owners");
        if frozen {
            let bytes = buffer.freeze();
            let slice = bytes.slice(3..9);
            drop(bytes);
            assert_eq!(self.pool.stats().in_use_bytes, self.model.used);
            drop(slice);
        } else {
            drop(buffer);
        }
        self.model.give_back((account, size));
    }

    fn take(&mut self, request: usize) {
        let size = request + EXTRA;
        let answer = self.pool.take(request);
        if size > self.model.cap {
            assert!(matches!(answer, Err(PoolError::TooLarge { .. })));
            return;
        }
        let reserved = self.model.growing.front().is_some_and(|first| first.1 <= self.model.cap);
        let in_turn = self.model.ordinary.is_empty() && !reserved;
        if in_turn && self.model.used + size <= self.model.cap {
            self.model.serve(Account::Cap, size);
            self.hold(answer.expect("there is room, and nobody waits"), Account::Cap);
        } else {
            assert!(matches!(answer, Err(PoolError::AtCap)), "{answer:?}");
        }
    }

    fn wait(&mut self, request: usize, growing: bool) {
        if !growing && request + EXTRA > self.model.cap {
            return;
        }
        self.next += 1;
        let id = self.next;
        let line = if growing { &mut self.model.growing } else { &mut self.model.ordinary };
        line.push_back((id, request + EXTRA));
        self.model.grant();
        self.poll(Waiting { caller: Caller::default(), id, request, growing }, true);
    }

    fn poll(&mut self, mut waiting: Waiting, fresh: bool) {
        let Waiting { caller, id, request, growing } = &mut waiting;
        let grant = self.model.granted.remove(id);
        let woken = caller.woken();
        assert_eq!(woken, usize::from(grant.is_some() && !fresh), "woken once, when granted");
        let answer = if *growing {
            caller.poll_growing(&self.pool, *request)
        } else {
            caller.poll(&self.pool, *request)
        };
        match (answer, grant) {
            (Poll::Ready(Ok(buffer)), Some((account, size))) => {
                assert_eq!(buffer.capacity(), size);
                self.hold(buffer, account);
            }
            (Poll::Pending, None) => self.waiting.push(waiting),
            (answer, grant) => panic!("{answer:?} for {grant:?}"),
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        // Small requests are the common ones; 64 KiB exceeds some of the caps below.
        let request = (4 * KIB) << choices.below(5).min(choices.below(5));
        match choices.below(10) {
            0 | 1 => self.take(request),
            2 => {
                let buffer = self.pool.take_beyond_cap(request).expect("nothing limits it");
                self.model.serve(Account::Beyond, request + EXTRA);
                self.hold(buffer, Account::Beyond);
            }
            3 | 4 => self.wait(request, false),
            5 => self.wait(request, true),
            6 => {
                if let Some(waiting) = choices.take_from(&mut self.waiting) {
                    self.poll(waiting, false);
                }
            }
            7 => {
                if choices.below(3) == 0
                    && let Some(waiting) = choices.take_from(&mut self.waiting)
                {
                    drop(waiting.caller);
                    self.model.leave(waiting.id);
                }
            }
            _ => {
                if let Some(held) = choices.take_from(&mut self.held) {
                    self.put(held, choices.below(4) == 0);
                }
            }
        }
        if choices.below(200) == 0 {
            let idle = self.pool.stats().idle_bytes;
            assert_eq!(self.pool.trim(), idle);
        }
        self.compare();
    }

    fn compare(&self) {
        let (stats, model) = (self.pool.stats(), &self.model);
        assert_eq!(stats.in_use_bytes, model.used);
        assert_eq!(stats.overdraft_bytes, model.overdraft);
        assert_eq!(stats.beyond_cap_bytes, model.beyond);
        assert_eq!(stats.high_water_bytes, model.high_water);
        assert_eq!(stats.waiting, model.growing.len() + model.ordinary.len());
        assert_eq!(self.pool.has_waiters(), stats.waiting > 0);
        assert_eq!(stats.hits + stats.misses, model.served);
        assert!(stats.in_use_bytes + stats.idle_bytes <= stats.cap_bytes, "{stats:?}");
        let count = |account| self.held.iter().filter(|held| held.account == account).count();
        let promised = model.granted.values().filter(|grant| grant.0 == Account::Cap).count();
        assert_eq!(stats.in_use_buffers, count(Account::Cap) + promised);
        assert_eq!(stats.beyond_cap_buffers, count(Account::Beyond));
        assert_eq!(stats.idle_buffers == 0, stats.idle_bytes == 0);
        match self.retention {
            Retention::NeverKeep => assert_eq!(stats.idle_bytes, 0),
            Retention::KeepUpTo(limit) => assert!(stats.idle_bytes <= limit),
            _ => {}
        }
    }

    /// Everything comes back, everybody is served.
    fn wind_up(&mut self) {
        while !self.held.is_empty() || !self.waiting.is_empty() {
            while let Some(held) = self.held.pop() {
                self.put(held, false);
                self.compare();
            }
            for waiting in std::mem::take(&mut self.waiting) {
                self.poll(waiting, false);
                self.compare();
            }
            assert!(!self.held.is_empty() || self.waiting.is_empty(), "nobody can go on");
        }
        let before = self.pool.stats();
        assert_eq!((before.in_use_buffers, before.beyond_cap_buffers, before.waiting), (0, 0, 0));
        assert_eq!(self.pool.trim(), before.idle_bytes);
        let after = self.pool.stats();
        assert_eq!(after.idle_bytes, 0);
        assert_eq!(after.returned_bytes, before.returned_bytes + before.idle_bytes as u64);
    }
}

#[test]
fn pool() {
    bolero::check!(name = "pool").with_iterations(FEW).for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let retention = choices.pick(&[
            Retention::KeepUpTo(5 * SMALL),
            Retention::NeverKeep,
            Retention::KeepUpTo(usize::MAX),
        ]);
        let cap = SMALL * (1 + choices.below(20));
        let builder = BufferPool::builder().buffer_size(4 * KIB).cap(cap).retention(retention);
        let mut run = Run {
            pool: builder.build().unwrap(),
            model: Model { cap, ..Model::default() },
            retention,
            held: Vec::new(),
            waiting: Vec::new(),
            next: 0,
        };
        while !choices.are_over() {
            run.step(&mut choices);
        }
        run.wind_up();
    });
}
