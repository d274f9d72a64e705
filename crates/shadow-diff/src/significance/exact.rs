//! Exact probabilities of counts.

use std::f64::consts::TAU;

/// What is smaller than this share of a sum is left out of it.
const NEGLIGIBLE: f64 = 1e-17;

/// The probability that of `differing` pairs that differ, drawn from `candidate` + `control` pairs, at
/// least `of_candidate` are among the candidate's: Fisher's exact test, one-sided. 1 where the numbers
/// cannot be.
pub(super) fn fisher(of_candidate: u64, candidate: u64, of_control: u64, control: u64) -> f64 {
    if of_candidate > candidate || of_control > control {
        return 1.0;
    }
    let (x, n) = (of_candidate as f64, candidate as f64);
    let (y, m) = (of_control as f64, control as f64);
    let s = x + y;
    let at = hypergeometric(x, n, y, m);
    // From one number of the candidate's to the next, and back.
    let up = |k: f64| (n - k) * (s - k) / ((k + 1.0) * (m - s + k + 1.0));
    let down = |k: f64| k * (m - s + k) / ((n - k + 1.0) * (s - k + 1.0));
    if x * m >= y * n {
        tail(at, (of_candidate..).map(|k| up(k as f64)))
    } else {
        let up_to = tail(at, (0..=of_candidate).rev().map(|k| down(k as f64)));
        (1.0 - (up_to - at)).clamp(0.0, 1.0)
    }
}

/// The smallest that [`fisher`] could be with as many pairs that differ in all: when all are the
/// candidate's that can be.
pub(super) fn least_fisher(
    of_candidate: u64,
    candidate: u64,
    of_control: u64,
    control: u64,
) -> f64 {
    let differing = of_candidate.saturating_add(of_control);
    let most = differing.min(candidate);
    fisher(most, candidate, differing - most, control)
}

/// The probability of at least `count` heads in `tosses` of a fair coin.
pub(super) fn fair_coin(count: u64, tosses: u64) -> f64 {
    if count > tosses {
        return 0.0;
    }
    let (x, n) = (count as f64, tosses as f64);
    let at = ln_binomial(x, n, 0.5, 0.5).exp();
    if x * 2.0 >= n {
        tail(at, (count..tosses).map(|k| (n - k as f64) / (k as f64 + 1.0)))
    } else {
        let up_to = tail(at, (1..=count).rev().map(|k| k as f64 / (n - k as f64 + 1.0)));
        (1.0 - (up_to - at)).clamp(0.0, 1.0)
    }
}

/// The ranks, from 1, of the observations between which a quantile lies: it is below the first with a
/// probability of at most `alpha`, above the second with at most `alpha`. Whatever the distribution. `None`
/// for a side on which there are too few observations to say.
pub(super) fn ranks(count: u64, quantile: f64, alpha: f64) -> (Option<u64>, Option<u64>) {
    let low = low_rank(count, quantile, 1.0 - quantile, alpha);
    let high = low_rank(count, 1.0 - quantile, quantile, alpha);
    (low, high.map(|rank| count + 1 - rank))
}

/// The highest rank l with a probability of at most `alpha` that fewer than l of `count` observations are
/// below the quantile p.
fn low_rank(count: u64, p: f64, q: f64, alpha: f64) -> Option<u64> {
    let n = count as f64;
    // What lies further away has less probability than any alpha of use.
    let mut k = (n * p - 12.0 * (n * p * q).sqrt() - 60.0).floor().max(0.0);
    let mut at = ln_binomial(k, n, p, q).exp();
    let mut below = at;
    let mut rank = None;
    while below <= alpha && k < n {
        k += 1.0;
        rank = Some(k);
        at *= (n - k + 1.0) / k * p / q;
        below += at;
    }
    // A whole number from 1 to `count`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    rank.map(|rank| rank as u64)
}

/// Sums `at`, what follows it, and so on, each of which is one of `ratios` times the last. They fall.
fn tail(at: f64, ratios: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut term) = (at, at);
    for ratio in ratios {
        term *= ratio;
        sum += term;
        // What is left is less than a geometric series.
        if term <= 0.0 || (ratio < 1.0 && term < sum * NEGLIGIBLE * (1.0 - ratio)) {
            break;
        }
    }
    sum.min(1.0)
}

/// The probability of `x` of `n` and `y` of `m` when x + y of n + m is given: three binomial
/// probabilities, in which what is large cancels.
fn hypergeometric(x: f64, n: f64, y: f64, m: f64) -> f64 {
    let (s, all) = (x + y, n + m);
    if s == 0.0 || s == all {
        return 1.0;
    }
    let (p, q) = (s / all, (all - s) / all);
    (ln_binomial(x, n, p, q) + ln_binomial(y, m, p, q) - ln_binomial(s, all, p, q)).exp()
}

/// The logarithm of the binomial probability of `x` of `n`, where p + q = 1; after C. Loader, Fast and
/// Accurate Computation of Binomial Probabilities (2000): deviances instead of differences of large
/// logarithms.
fn ln_binomial(x: f64, n: f64, p: f64, q: f64) -> f64 {
    if x == 0.0 {
        return n * ln_of(q, p);
    }
    if x == n {
        return n * ln_of(p, q);
    }
    let rest = n - x;
    stirling_error(n)
        - stirling_error(x)
        - stirling_error(rest)
        - deviance(x, n * p)
        - deviance(rest, n * q)
        + 0.5 * (n / (TAU * x * rest)).ln()
}

/// ln(`p`), where `q` = 1 - `p`. Zero times this is zero.
fn ln_of(p: f64, q: f64) -> f64 {
    if q < 0.5 { (-q).ln_1p() } else { p.max(f64::MIN_POSITIVE).ln() }
}

/// x ln(x / mean) + mean - x.
fn deviance(x: f64, mean: f64) -> f64 {
    x * ((x - mean) / mean).ln_1p() - (x - mean)
}

/// ln(n!) less Stirling's formula for it, for whole n.
fn stirling_error(n: f64) -> f64 {
    if n > 15.0 {
        let square = n * n;
        return (1.0 / 12.0
            - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0) / square) / square) / square)
            / n;
    }
    if n == 0.0 {
        return 0.0;
    }
    let (mut factorial, mut k) = (1.0, 1.0);
    while k < n {
        k += 1.0;
        factorial *= k;
    }
    f64::ln(factorial) - (0.5 * (TAU * n).ln() + n * n.ln() - n)
}
