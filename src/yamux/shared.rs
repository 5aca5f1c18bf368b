//! A session behind its lock, as the driver and all handles see it.

use std::sync::{Arc, Mutex, PoisonError};

use super::session::{After, Core, Steady};

pub(super) struct Shared(Mutex<Place>);

/// One of the two: all of the session, or what is left of it while it is idle.
enum Place {
    Awake(Box<Core>),
    Asleep(Steady),
    /// Within a call.
    Taken,
}

impl Shared {
    pub(super) fn new(steady: Steady) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Place::Asleep(steady))))
    }

    /// Does something to the session, and when the lock is free again what that left to do.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut Core, &mut After) -> R) -> R {
        let mut after = After::default();
        // No code of others runs under the lock, so that a panic elsewhere leaves nothing half done.
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match &mut *place {
            Place::Awake(core) => change(core, &mut after),
            asleep => match std::mem::replace(asleep, Place::Taken) {
                Place::Asleep(steady) => {
                    let mut core = Box::new(Core::new(steady));
                    let result = change(&mut core, &mut after);
                    *asleep = Place::resting(core);
                    result
                }
                _ => unreachable!("a call has put back what it took"),
            },
        };
        drop(place);
        after.run();
        result
    }

    /// Gives back what the session needs only while bytes move or streams are open. Whether it needs none of that now.
    pub(super) fn rest(&self) -> bool {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*place, Place::Awake(core) if core.is_idle())
            && let Place::Awake(core) = std::mem::replace(&mut *place, Place::Taken)
        {
            *place = Place::resting(core);
        }
        matches!(&*place, Place::Asleep(_))
    }
}

impl Place {
    fn resting(core: Box<Core>) -> Self {
        match core.is_idle() {
            true => Self::Asleep(core.rest()),
            false => Self::Awake(core),
        }
    }
}
