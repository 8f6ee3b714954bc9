//! A reference to a store that does not keep its file open.

use std::fmt;
use std::sync::{Arc, Weak};

use super::{File, Shared, Store};

/// A weak reference to a store, which does not keep the file open.
#[derive(Clone)]
pub(crate) struct WeakStore(Weak<Shared>);

impl Store {
    pub(crate) fn downgrade(&self) -> WeakStore {
        WeakStore(Arc::downgrade(&self.shared))
    }
}

impl WeakStore {
    pub(crate) fn upgrade(&self) -> Option<Store> {
        let shared = self.0.upgrade().filter(|shared| !matches!(*shared.file(), File::Gone))?;
        Some(Store { shared })
    }
}

impl fmt::Debug for WeakStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakStore")
    }
}
