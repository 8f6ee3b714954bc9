//! End-to-end tests: real clients, the real relay, real files. They are in `tests/`.
