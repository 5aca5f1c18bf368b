//! Where handlers run.

/// Where handlers run. What they compute between two waits delays what shares their task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handlers {
    /// A handler is polled once in the connection's task, and up to twice more while it waits for the content of its request. If it is not
    /// done then, a task of its own goes on with it. Handlers that answer as soon as they have their request cost no task and no wake-up of another, and
    /// those that wait disturb nobody.
    #[default]
    FirstPollHere,
    /// Always in the connection's task. Least overhead where handlers never compute for long; one connection never uses two cores.
    InConnection,
    /// Each in a task of its own from the start: for handlers that compute for long before they first wait.
    Tasks,
}
