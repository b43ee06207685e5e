//! The room `prefetch`.
