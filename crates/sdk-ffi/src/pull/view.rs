//! What can be pulled.

use std::future::Future;

use crate::Result;

/// What can be pulled.
pub(crate) trait View: Send + 'static {
    type Update: PartialEq + Send + 'static;

    /// At least one update; `None` when the client is gone. Dropping the future loses nothing.
    fn next_batch(&mut self, max: usize) -> impl Future<Output = Option<Result<Vec<Self::Update>>>> + Send;
    /// The last batch went to nobody: the next one makes good for it.
    fn refresh(&mut self);
}

/// A view that can be looked at, too.
pub(crate) trait Snapshot: View {
    type Snapshot: Send + 'static;

    /// Everything, at once.
    fn snapshot(&mut self) -> impl Future<Output = Result<Self::Snapshot>> + Send;
}
