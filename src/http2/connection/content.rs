//! DATA, received: in pieces of any size, never joined.

use super::super::frame::{Data, Head, flag};
use super::super::input::Received;
use super::super::limits::refund;
use super::{Core, Direction, ErrorCode, Stream, Turn, Violation, WindowUpdate};

/// A DATA frame of which not all has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    stream: u32,
    /// Bytes of the payload that have not come, padding included.
    left: u32,
    /// How many of them are padding. `None`: the byte that says so has not come.
    padding: Option<u32>,
    end_stream: bool,
}

impl<T: Default> Core<T> {
    /// A DATA frame begins: its whole payload is charged to the windows.
    pub(super) fn begin_content(
        &mut self,
        head: &Head,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let id = Data::check(head)?;
        if self.is_idle(id) {
            return Err(Violation::protocol("DATA on a stream that was never opened"));
        }
        if !self.recv_window.receive(head.len) {
            let what = "the peer sends more than the connection's window";
            return Err(Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, what));
        }
        let padded = head.has(flag::PADDED);
        if padded && head.len == 0 {
            return Err(Violation::size("a padded frame has no length of its padding"));
        }
        let end_stream = head.has(flag::END_STREAM);
        let padding = if padded { None } else { Some(0) };
        self.active().content = Some(Cut { stream: id, left: head.len, padding, end_stream });
        if head.len == 0 && !end_stream {
            self.charge(turn)?;
        }
        let Some(stream) = self.stream(id) else {
            // Late, after the stream was reset or answered. Its bytes are discarded as they come, and given back to the connection.
            return self.charge(turn);
        };
        let wrong = match stream.receiving {
            Direction::Head => Some((ErrorCode::PROTOCOL_ERROR, "DATA before HEADERS")),
            Direction::Ended => Some((ErrorCode::STREAM_CLOSED, "DATA after END_STREAM")),
            Direction::Content if !stream.recv_window.receive(head.len) => {
                let what = "the peer sends more than the stream's window";
                Some((ErrorCode::FLOW_CONTROL_ERROR, what))
            }
            Direction::Content => None,
        };
        if let Some((code, what)) = wrong {
            return self.reset_for(id, Violation::stream(code, what), turn);
        }
        Ok(())
    }

    /// Takes as much of the present DATA frame as the read has from `at` on. Answers where the read goes on.
    pub(super) fn receive_content(
        &mut self,
        received: &mut Received,
        mut at: usize,
        turn: &mut Turn<'_>,
    ) -> Result<usize, Violation> {
        let Some(mut cut) = self.active().content.take() else { return Ok(at) };
        let Some(padding) = cut.padding else {
            let padding = u32::from(received.bytes()[at]);
            cut.left -= 1;
            if padding > cut.left {
                return Err(Violation::protocol("the padding is longer than the frame"));
            }
            cut.padding = Some(padding);
            // All of it at once: nobody reads it.
            self.release(cut.stream, 1 + padding, turn);
            self.active().content = Some(cut);
            if at + 1 < received.bytes().len() || cut.left == 0 {
                return self.receive_content(received, at + 1, turn);
            }
            return Ok(at + 1);
        };
        let here = (received.bytes().len() - at).min(cut.left as usize);
        let content = here.min((cut.left - padding) as usize);
        if content > 0 {
            self.deliver(cut.stream, received, at..at + content, turn)?;
        }
        at += here;
        cut.left -= here as u32;
        cut.padding = Some(padding.min(cut.left));
        if cut.left > 0 {
            self.active().content = Some(cut);
        } else if cut.end_stream {
            self.end_receiving(cut.stream, None, turn)?;
        }
        Ok(at)
    }

    /// Gives bytes back that are not handed up.
    fn release(&mut self, id: u32, count: u32, turn: &mut Turn<'_>) {
        self.recv_window.release(count);
        if let Some(stream) = self.stream(id) {
            stream.recv_window.release(count);
            stream.announce(turn);
        }
    }

    fn deliver(
        &mut self,
        id: u32,
        received: &mut Received,
        range: std::ops::Range<usize>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let len = range.len();
        self.budget.refund_control(refund::DATA_RECEIVED);
        let Some(stream) = self.stream(id) else {
            self.recv_window.release(len as u32);
            return Ok(());
        };
        if let Some(promised) = &mut stream.promised {
            match promised.checked_sub(len as u64) {
                Some(rest) => *promised = rest,
                None => {
                    self.recv_window.release(len as u32);
                    let what = "the content is longer than content-length says";
                    let violation = Violation::stream(ErrorCode::PROTOCOL_ERROR, what);
                    return self.reset_for(id, violation, turn);
                }
            }
        }
        let (abandoned, pins) = stream.with_inbox(|inbox| {
            let pins = !inbox.abandoned && inbox.push(received, range);
            (inbox.abandoned, pins)
        });
        if pins {
            self.active().pins = true;
        }
        if abandoned {
            self.recv_window.release(len as u32);
        }
        Ok(())
    }

    /// The peer's direction has ended.
    pub(super) fn end_receiving(
        &mut self,
        id: u32,
        trailers: Option<Box<http::HeaderMap>>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let Some(stream) = self.stream(id) else { return Ok(()) };
        if stream.promised.is_some_and(|promised| promised > 0) {
            let what = "the content is shorter than content-length says";
            let violation = Violation::stream(ErrorCode::PROTOCOL_ERROR, what);
            return self.reset_for(id, violation, turn);
        }
        stream.receiving = Direction::Ended;
        stream.with_inbox(|inbox| inbox.end(trailers));
        self.finish(id, turn);
        Ok(())
    }
}

impl<T> Stream<T> {
    /// What the application has read since it was asked last.
    pub(super) fn take_consumed(&mut self) -> u32 {
        match &self.link {
            Some(link) => std::mem::take(&mut link.inbox().consumed),
            None => 0,
        }
    }

    /// Lets the peer send as much more as was read.
    pub(super) fn announce(&mut self, turn: &mut Turn<'_>) {
        if self.receiving == Direction::Ended {
            return;
        }
        if let Some(increment) = self.recv_window.credit(turn.config.stream_window) {
            WindowUpdate { stream: self.id, increment }.write(turn.out.frames());
        }
    }
}
