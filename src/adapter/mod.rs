//! The room `adapter`.
