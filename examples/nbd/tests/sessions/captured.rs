//! Reads `captured.txt`.

/// A captured session.
pub(crate) struct Session {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// What one side did.
pub(crate) struct Step {
    pub(crate) side: Side,
    /// `None` is the end of its direction.
    pub(crate) bytes: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Session {
    /// All that this side has sent.
    pub(crate) fn sent_by(&self, side: Side) -> Vec<u8> {
        let steps = self.steps.iter().filter(|step| step.side == side);
        steps.filter_map(|step| step.bytes.as_deref()).collect::<Vec<_>>().concat()
    }
}

/// All sessions.
pub(crate) fn sessions() -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    for line in include_str!("captured.txt").lines() {
        if let Some(title) = line.strip_prefix('[') {
            let name = title.split(']').next().expect("a title ends");
            sessions.push(Session { name, steps: Vec::new() });
        } else if let Some((side, bytes)) = line.split_once(' ')
            && !line.starts_with('#')
        {
            let side = if side == "C" { Side::Client } else { Side::Server };
            let bytes = (bytes != "end").then(|| bytes.split(' ').flat_map(word).collect());
            sessions.last_mut().expect("a title comes first").steps.push(Step { side, bytes });
        }
    }
    assert_eq!(sessions.len(), 28);
    sessions
}

/// The bytes of `xxyyzz`, or of `xx*N`.
fn word(word: &str) -> Vec<u8> {
    let byte = |digits| u8::from_str_radix(digits, 16).expect("hexadecimal digits");
    match word.split_once('*') {
        Some((digits, times)) => vec![byte(digits); times.parse().expect("a number")],
        None => (0..word.len()).step_by(2).map(|at| byte(&word[at..at + 2])).collect(),
    }
}
