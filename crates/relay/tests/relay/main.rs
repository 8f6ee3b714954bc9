//! The whole relay from outside: real sockets on loopback, real SQLite, a clock that the tests move.

mod common;

mod talk;
