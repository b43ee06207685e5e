//! The room `analyzer`.
