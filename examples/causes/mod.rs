//! Errors with their causes, for people.

use std::error::Error;
use std::fmt;

/// Shows an error and what caused it in one line. What an error already says of its cause is not said twice.
pub(crate) struct Causes<'error>(pub(crate) &'error (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut error = self.0;
        while let Some(cause) = error.source() {
            let text = cause.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            error = cause;
        }
        Ok(())
    }
}
