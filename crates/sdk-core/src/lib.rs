//! Sealpost.
