//! The room `shifter`.
