//! Vector code for the CPU without intrinsics: loops over arrays of fixed length, compiled once for each set of
//! instructions that makes a difference and picked when the program runs, so that one binary is quick on a new processor
//! and runs on an old one.

/// Lanes of a long sum: two wide vectors, which hide the adder's latency.
pub(crate) const LANES: usize = 32;

/// A loop to compile for several instruction sets. `run` must be `#[inline(always)]`, as must what it calls.
pub(crate) trait Kernel {
    type Output;
    /// `FUSED`: multiply-add is one instruction.
    fn run<const FUSED: bool>(self) -> Self::Output;
}

/// Run `kernel` with the widest instructions that the machine has.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn avx512<K: Kernel>(kernel: K) -> K::Output {
            kernel.run::<true>()
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<K: Kernel>(kernel: K) -> K::Output {
            kernel.run::<true>()
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the machine has the features that the function is compiled for.
                return unsafe { avx512(kernel) };
            }
            // SAFETY: as above.
            return unsafe { avx2(kernel) };
        }
    }
    // Only x86-64's base instructions lack a fused multiply-add.
    kernel.run::<{ cfg!(target_arch = "aarch64") }>()
}

/// Whether tiles of 12 × 32 sums fit the registers.
pub(crate) fn has_wide_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Run `pass` on a thread of the pool that its loops are shared out to, if it is for the CPU: from any other thread, each
/// of thousands of loops would be handed over and waited for.
pub(crate) fn on_workers<T: Send>(on_host: bool, pass: impl FnOnce() -> T + Send) -> T {
    if on_host {
        rayon::scope(|_| pass())
    } else {
        pass()
    }
}

#[inline(always)]
pub(crate) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// 2^x for x ≤ 127, zero (to f32's normal range) below −126: rounding to an integer by a large addend, a polynomial for
/// the rest, relative error about 1e−7.
#[inline(always)]
pub(crate) fn exp2<const FUSED: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23
    let x = if x > -126.0 { x } else { -126.0 };
    let shifted = x + ROUND;
    let fraction = x - (shifted - ROUND);
    // Taylor terms ln(2)^n / n!, |fraction| ≤ ½.
    let mut p = 1.540_353e-4;
    for c in [
        1.333_355_8e-3,
        9.618_129e-3,
        5.550_411e-2,
        0.240_226_5,
        std::f32::consts::LN_2,
        1.0,
    ] {
        p = multiply_add::<FUSED>(p, fraction, c);
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    f32::from_bits(p.to_bits().wrapping_add(exponent << 23))
}

/// x · σ(x).
#[inline(always)]
pub(crate) fn silu<const FUSED: bool>(x: f32) -> f32 {
    let power = -x * std::f32::consts::LOG2_E;
    let power = if power < 126.0 { power } else { 126.0 };
    x / (1.0 + exp2::<FUSED>(power))
}

/// The exact GELU, x · Φ(x), with the error function of Abramowitz and Stegun (7.1.26), absolute error 1.5e−7.
#[inline(always)]
pub(crate) fn gelu<const FUSED: bool>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / multiply_add::<FUSED>(0.327_591_1, z, 1.0);
    let mut p = 1.061_405_4;
    for c in [-1.453_152_1, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
        p = multiply_add::<FUSED>(p, t, c);
    }
    // Half of 1 − erf(|x| / √2).
    let tail = 0.5 * p * t * exp2::<FUSED>(-z * z * std::f32::consts::LOG2_E);
    x * if x > 0.0 { 1.0 - tail } else { tail }
}

/// Sum of all lanes, halving them: a chain of single additions would cost more than the vectors before it. Kept out
/// of line, because inlined it makes the compiler split the accumulators of its callers into narrow vectors.
#[inline(never)]
pub(crate) fn total(lanes: &[f32; LANES]) -> f32 {
    let mut sums: [f32; 8] =
        std::array::from_fn(|i| lanes[i] + lanes[i + 8] + (lanes[i + 16] + lanes[i + 24]));
    for n in [4, 2, 1] {
        for lane in 0..n {
            sums[lane] += sums[lane + n];
        }
    }
    sums[0]
}
