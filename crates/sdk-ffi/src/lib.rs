//! The client for Swift and Kotlin. An empty room until the bindings land; these are its rules.
//!
//! 1. **Two kinds of things cross:** records (owned data, one file, one `From` each) and handles (an `Arc` and
//!    a method for each verb). No generics, no lifetimes, no typestate: `open()` returns an enum of two objects.
//! 2. **One listener.** `trait EventListener { fn on_event(&self, event: Event) }`; Swift turns it into an
//!    `AsyncStream`, Kotlin into a `Flow`. Nothing else calls back, except the key provider (Keychain, Keystore),
//!    once, at `open()`.
//! 3. **One error enum, one mapping,** in one file. The app switches on remedies, not on causes. No text from
//!    peers and no personal data in an error.
//! 4. **Secrets do not cross** as strings or arrays, except the storage key that the platform already guards.
//! 5. **The platform layer is small and idiomatic:** at most 300 lines by hand for each language. Behaviour is
//!    tested in Rust; tests of the bindings check that each verb arrives.
//!
//! Every exported function returns a `Result`: a panic then becomes an error in Swift too, not a crash of the app.
//! Cancelling a Swift task does not reach Rust, so long operations take a deadline or give a handle to cancel.
