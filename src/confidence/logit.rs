//! The logistic function and its inverse, from additions, multiplications and divisions alone: platforms differ in
//! the last bits of their exponential functions, and native and wasm builds are to decide alike.

/// Largest odds, as a logarithm, that are told apart: a probability of 0.9997.
pub(super) const MAX: f32 = 8.0;

/// `x` within [0, `most`]. `f32::clamp` can panic where its bounds are no constants, and its message takes the code that
/// prints numbers along, 10 kB of wasm.
pub(super) fn below(x: f32, most: f32) -> f32 {
    x.max(0.0).min(most)
}

/// Natural logarithm of a positive, normal number; error below 0.0002.
fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    // ln m = 2 artanh((m - 1) / (m + 1)), three terms of the series; m is in [1, 2).
    let y = (mantissa - 1.0) / (mantissa + 1.0);
    let square = y * y;
    let series = y * (2.0 + square * (0.666_666_7 + square * 0.4));
    exponent as f32 * std::f32::consts::LN_2 + series
}

/// Logarithm of the odds of `good` against `bad`, both positive; within [-8, 8].
pub(super) fn stretch(good: f32, bad: f32) -> f32 {
    ln((good / bad).clamp(1e-6, 1e6)).clamp(-MAX, MAX)
}

/// The probability whose odds have this logarithm: the inverse of `stretch`, error below 0.0001.
pub(super) fn squash(x: f32) -> f32 {
    let power = (-x * std::f32::consts::LOG2_E).clamp(-30.0, 30.0);
    // Rounded down, as a cast cuts off towards zero; `floor` is a call of the C library on x86-64.
    let cut = power as i32;
    let whole = cut - i32::from(cut as f32 > power);
    let part = power - whole as f32;
    // 2^part on [0, 1), Taylor series of fifth degree.
    let series = 0.240_226_5 + part * (0.055_504_1 + part * (0.009_618_1 + part * 0.001_333_4));
    let fraction = 1.0 + part * (std::f32::consts::LN_2 + part * series);
    let scale = f32::from_bits(((whole + 127) as u32) << 23);
    1.0 / (1.0 + fraction * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_exact_functions() {
        for n in -800..=800 {
            let x = n as f32 / 100.0;
            let exact = 1.0 / (1.0 + (-x).exp());
            assert!((squash(x) - exact).abs() < 1e-4, "{x}");
            assert!((stretch(exact, 1.0 - exact) - x).abs() < 2e-3, "{x}");
        }
        for odds in [0.0, -1.0, 1e30, f32::INFINITY] {
            assert!(stretch(odds, 1.0).abs() <= MAX);
        }
        assert!(squash(1e9) <= 1.0 && squash(-1e9) >= 0.0);
    }
}
