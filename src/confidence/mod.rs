//! The room `confidence`.
