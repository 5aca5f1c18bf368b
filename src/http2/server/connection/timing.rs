//! What a connection does because of the time, and when it is to be woken for that.

use std::sync::Arc;
use std::task::Context;

use http::Request;
use tower_service::Service;

use super::super::registry::NEVER;
use super::{Connection, DRAINING, Ending, KEEPALIVE, Stage};
use crate::http2::body::Body;
use crate::http2::budget::Tick;
use crate::http2::connection::Turn;
use crate::http2::error::Error;
use crate::http2::frame::ErrorCode;
use crate::http2::output::Output;

impl<IO, S: Service<Request<Body>>, B> Connection<IO, S, B> {
    /// Does what is due, and what the whole server is told to do.
    pub(super) fn look_at_clock(&mut self, now: Tick, out: &mut Output) -> Result<(), Error> {
        if now < self.due && !self.shared.is_draining() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let turn = &mut Turn { config: &shared.config, now, out };
        if shared.is_draining() {
            self.begin_drain(now, turn);
        }
        if now >= self.due
            && let Err(error) = self.on_time(now, turn)
        {
            self.core.fail(&error, turn);
            return Err(error);
        }
        Ok(())
    }

    /// Drops what is not needed while nothing is open, and says when it is to be woken.
    pub(super) fn rest(&mut self, cx: &Context<'_>, now: Tick) {
        self.core.rest();
        if self.core.open_streams() == 0
            && self.active.as_ref().is_some_and(|active| !active.is_needed())
        {
            self.count();
            self.active = None;
        }
        let mut due = self.next_due();
        let anew = now >= self.due || self.due == NEVER;
        if anew {
            due = self.age_due().unwrap_or(NEVER).min(due);
        }
        // One that needs no time at all says so when it falls idle, not each time in between.
        let unneeded = due == NEVER && self.active.is_none() && self.shared.times.age.is_none();
        if due < self.due || (anew || unneeded) && due != self.due {
            self.shared.registry.schedule(self.key, cx.waker(), due);
            self.due = due;
        }
    }

    /// When something has to be done if nothing happens before, but for its age, which only the registry knows.
    pub(super) fn next_due(&self) -> Tick {
        let times = &self.shared.times;
        let active = self.active.as_deref();
        if let Some(Ending { since, stage, .. }) = active.and_then(|active| active.ending.as_ref())
        {
            return since.saturating_add(match stage {
                Stage::Flush | Stage::Shutdown => times.stall,
                Stage::Linger(_) => times.linger,
            });
        }
        let draining = active.and_then(|active| active.draining);
        let pinged = active.and_then(|active| active.pinged);
        let first = [
            (!self.core.is_greeted()).then(|| self.quiet.saturating_add(times.preface)),
            (!self.core.is_acknowledged())
                .then(|| self.quiet.saturating_add(times.preface + times.settings)),
            self.core.incomplete_since().map(|since| since.saturating_add(times.stall)),
            active.and_then(|active| active.stalled).map(|since| since.saturating_add(times.stall)),
            times.keepalive.map(|keepalive| match pinged {
                Some(pinged) => pinged.saturating_add(keepalive.timeout),
                None => self.heard.saturating_add(keepalive.interval),
            }),
            self.idle_due(),
            self.core
                .blocked_since(&self.shared.config)
                .map(|since| since.saturating_add(times.window)),
            draining
                .filter(|_| !self.core.is_closing())
                .map(|since| since.saturating_add(times.drain)),
        ];
        first.into_iter().flatten().min().unwrap_or(NEVER)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.draining.is_some())
    }

    fn idle_due(&self) -> Option<Tick> {
        let idle = self.shared.times.idle.filter(|_| !self.is_draining())?;
        (self.core.open_streams() == 0).then(|| self.quiet.saturating_add(idle))
    }

    /// When it is too old; or, after that, when its calls have had their grace.
    fn age_due(&self) -> Option<Tick> {
        let age = self.shared.times.age?;
        let age = self.shared.registry.born(self.key)?.saturating_add(age);
        match self.is_draining() {
            false => Some(age),
            true => self.shared.times.age_grace.map(|grace| age.saturating_add(grace)),
        }
    }

    /// Does what is due. An error ends the connection.
    fn on_time(&mut self, now: Tick, turn: &mut Turn<'_>) -> Result<(), Error> {
        let times = self.shared.times;
        let active = self.active.as_deref();
        let passed = |since: Tick, limit: Tick| now >= since.saturating_add(limit);
        if !self.core.is_greeted() && passed(self.quiet, times.preface) {
            return Err(Error::timeout("the client's preface and settings did not come"));
        }
        if !self.core.is_acknowledged() && passed(self.quiet, times.preface + times.settings) {
            return Err(Error::settings_timeout());
        }
        if self.core.incomplete_since().is_some_and(|since| passed(since, times.stall)) {
            return Err(Error::timeout("a frame that has begun was not completed"));
        }
        if active.and_then(|active| active.stalled).is_some_and(|since| passed(since, times.stall))
        {
            return Err(Error::timeout("the client takes nothing of what waits for it"));
        }
        if let Some(keepalive) = times.keepalive {
            match active.and_then(|active| active.pinged) {
                Some(pinged) if passed(pinged, keepalive.timeout) => {
                    return Err(Error::timeout("the client does not answer PING"));
                }
                None if passed(self.heard, keepalive.interval) => {
                    turn.ping(KEEPALIVE);
                    self.active().pinged = Some(now);
                }
                _ => {}
            }
        }
        self.core.reset_blocked(times.window, turn);
        if self.is_draining() && self.age_due().is_some_and(|due| now >= due) {
            return Err(Error::timeout("the grace of a connection that is too old is over"));
        }
        let due = [self.idle_due(), self.age_due()];
        if !self.is_draining() && due.into_iter().flatten().any(|due| now >= due) {
            self.begin_drain(now, turn);
        }
        let draining = self.active.as_ref().and_then(|active| active.draining);
        if draining.is_some_and(|since| passed(since, times.drain)) {
            self.core.close(ErrorCode::NO_ERROR, "", turn);
        }
        Ok(())
    }

    /// Tells the peer that the end is near, and asks it to say when it has heard.
    pub(super) fn begin_drain(&mut self, now: Tick, turn: &mut Turn<'_>) {
        if self.is_draining() || self.core.is_closing() {
            return;
        }
        turn.announce_close();
        turn.ping(DRAINING);
        self.active().draining = Some(now);
    }
}
