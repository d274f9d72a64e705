use super::*;

fn close(left: f64, right: f64, tolerance: f64) -> bool {
    (left - right).abs() <= tolerance * right.abs()
}

/// Computed by `scipy.stats` 1.17 (`fisher_exact`, alternative "greater").
#[test]
fn fisher_agrees_with_another_implementation() {
    for (x, n, y, m, expected) in [
        (3, 10, 0, 10, 0.105_263_157_894_736_84),
        (10, 10, 0, 10, 5.412_544_112_234_515e-6),
        (100, 10_000, 0, 1_000, 6.935_273_606_661_147e-5),
        (100, 10_000, 50, 10_000, 2.555_173_503_962_946_7e-5),
        (5_100, 10_000, 5_000, 10_000, 0.080_734_645_754_229_12),
        (5_500, 10_000, 5_000, 10_000, 7.903_437_624_867_817e-13),
        (1, 1, 0, 1, 0.5),
        (40, 1_000, 50, 1_000, 0.882_366_669_010_098_9),
        (1_000_000, 10_000_000, 990_000, 10_000_000, 4.026_347_559_643_229_4e-14),
        (30, 1_000_000, 5, 1_000_000, 1.117_905_979_424_480_3e-5),
        (9_990, 10_000, 980, 1_000, 1.544_536_520_231_435_2e-14),
    ] {
        let found = exact::fisher(x, n, y, m);
        assert!(close(found, expected, 1e-8), "{x} of {n}, {y} of {m}: {found}, not {expected}");
    }
}

/// Against sums of products of binomial coefficients, which whole numbers hold exactly, for all tables up
/// to 12 + 12 pairs.
#[test]
fn fisher_is_exact_on_small_tables() {
    let choose = |n: u64, k: u64| (0..k).fold(1_u64, |value, i| value * (n - i) / (i + 1));
    for (n, m) in (1..=12).flat_map(|n| (1..=12).map(move |m| (n, m))) {
        for (x, y) in (0..=n).flat_map(|x| (0..=m).map(move |y| (x, y))) {
            let s = x + y;
            let ways = |k: u64| choose(n, k) * choose(m, s - k);
            let worse: u64 = (x..=n.min(s)).filter(|k| s - k <= m).map(ways).sum();
            let expected = worse as f64 / choose(n + m, s) as f64;
            let found = exact::fisher(x, n, y, m);
            assert!(close(found, expected, 1e-11), "{x} of {n}, {y} of {m}: {found}, {expected}");
            let most = s.min(n);
            let least = exact::least_fisher(x, n, y, m);
            let expected = ways(most) as f64 / choose(n + m, s) as f64;
            assert!(close(least, expected, 1e-11), "{x} of {n}, {y} of {m}: least {least}");
        }
    }
}

#[test]
fn fisher_without_pairs_says_nothing() {
    for (x, n, y, m) in [(0, 0, 0, 0), (5, 10, 0, 0), (0, 0, 3, 4), (0, 10, 0, 10), (10, 10, 4, 4)]
    {
        assert_eq!(exact::fisher(x, n, y, m), 1.0);
    }
    // Numbers that cannot be.
    assert_eq!(exact::fisher(11, 10, 0, 10), 1.0);
    // As large as they get, and nothing overflows.
    let most = 1_000_000_000;
    assert!(exact::fisher(most, most, 0, most) < 1e-300);
    assert!(close(exact::fisher(most / 2, most, most / 2, most), 0.5, 1e-4));
}

/// Computed by `scipy.stats` 1.17 (`binomtest`, alternative "greater").
#[test]
fn a_fair_coin_agrees_with_another_implementation() {
    for (count, tosses, expected) in [
        (0, 0, 1.0),
        (10, 10, 0.000_976_562_5),
        (7, 10, 0.171_875),
        (3, 10, 0.945_312_5),
        (60, 100, 0.028_443_966_820_490_444),
        (520, 1_000, 0.108_724_146_602_070_75),
        (50_600, 100_000, 7.483_595_545_718_704e-5),
    ] {
        let found = exact::fair_coin(count, tosses);
        assert!(close(found, expected, 1e-9), "{count} of {tosses}: {found}, not {expected}");
    }
}

/// Computed with `scipy.stats.binom` 1.17: the largest l with cdf(l - 1) <= alpha, the smallest u with
/// sf(u - 1) <= alpha.
#[test]
fn ranks_agree_with_another_implementation() {
    for (count, quantile, alpha, low, high) in [
        (100, 0.5, 0.025, Some(40), Some(61)),
        (1_000, 0.95, 0.005, Some(931), Some(968)),
        (1_000, 0.99, 0.005, Some(981), Some(998)),
        (500, 0.99, 0.005, Some(488), None),
        (10_000, 0.99, 1e-6, Some(9_849), Some(9_945)),
        (3, 0.5, 0.1, None, None),
        (4, 0.5, 0.1, Some(1), Some(4)),
        (1_000_000, 0.95, 0.005, Some(949_438), Some(950_562)),
        (0, 0.5, 0.1, None, None),
    ] {
        assert_eq!(exact::ranks(count, quantile, alpha), (low, high), "{count} {quantile} {alpha}");
    }
}

/// Computed by `scipy.stats` 1.17 (`norm.isf`; `proportion_ci` with the method "wilson").
#[test]
fn intervals_agree_with_another_implementation() {
    for (tail, expected) in [
        (0.25, 0.674_489_750_196_081_7),
        (0.1, 1.281_551_565_544_600_4),
        (0.025, 1.959_963_984_540_054_5),
        (0.005, 2.575_829_303_548_901),
        (1e-4, 3.719_016_485_455_680_4),
        (1e-7, 5.199_337_582_192_816_5),
        (1e-12, 7.034_483_825_301_131),
        (1e-50, 14.933_337_534_788_487),
    ] {
        assert!(close(normal_quantile(tail), expected, 1e-9), "{tail}");
    }
    for (differing, pairs, tail, low, high) in [
        (0, 1_000, 0.005, 0.0, 0.006_591_164_903_406_828_6),
        (10, 1_000, 0.005, 0.004_530_055_521_673_154, 0.021_929_286_083_665_46),
        (50, 100, 0.025, 0.403_831_530_365_995_6, 0.596_168_469_634_004_4),
        (100, 100, 0.025, 0.963_006_501_793_014_3, 1.0),
    ] {
        let interval = Share { differing, pairs }.interval(normal_quantile(tail));
        assert!(close(interval.low, low, 1e-9) && close(interval.high, high, 1e-9), "{interval:?}");
    }
    assert_eq!(Share::default().interval(2.0), Interval { low: 0.0, high: 1.0 });
}

/// The example of Newcombe's paper (Statistics in Medicine 17, 1998, p. 873, method 10): 56 of 70 and 48 of
/// 80 give 0.0524 to 0.3339.
#[test]
fn the_excess_is_newcombes() {
    let (more, less) = (Share { differing: 56, pairs: 70 }, Share { differing: 48, pairs: 80 });
    let interval = excess(more, less, normal_quantile(0.025));
    assert!((interval.low - 0.0524).abs() < 5e-5 && (interval.high - 0.3339).abs() < 5e-5);
}

fn table(x: u64, n: u64, y: u64, m: u64) -> Table {
    Table { candidate: Share { differing: x, pairs: n }, control: Share { differing: y, pairs: m } }
}

#[test]
fn places_that_could_not_be_reported_cost_nothing() {
    let clear = table(20, 1_000, 0, 1_000);
    let alone = decide(&[clear], 1e-5);
    assert!(alone.0[0].beyond_noise);
    assert_eq!(alone.1, 1);
    // A thousand places that differed once: none could be significant.
    let mut many = vec![table(1, 1_000, 0, 1_000); 1_000];
    many.push(clear);
    let (decisions, family) = decide(&many, 1e-5);
    assert_eq!(family, 1);
    assert!(decisions[1_000].beyond_noise);
    assert_eq!(decisions.iter().filter(|decision| decision.beyond_noise).count(), 1);
    // A thousand that could be cost their share: twenty pairs are not enough any more.
    let mut many = vec![table(500, 1_000, 500, 1_000); 1_000];
    many.push(clear);
    let (decisions, family) = decide(&many, 1e-5);
    assert_eq!(family, 1_000);
    assert!(!decisions[1_000].beyond_noise);
}

#[test]
fn holm_spends_on_the_next_what_the_first_did_not_need() {
    // Alone at a quarter of the error, the second would not be reported; after the first it is.
    let error = 1e-3;
    let (clear, next, noise) =
        (table(60, 1_000, 0, 1_000), table(12, 1_000, 0, 1_000), table(30, 1_000, 30, 1_000));
    let (decisions, family) = decide(&[noise, next, clear], error);
    assert_eq!(family, 3);
    assert!(decisions[1].p_value > error / 5.0 && decisions[1].p_value < error / 2.0);
    assert!(decisions[2].beyond_noise && decisions[1].beyond_noise && !decisions[0].beyond_noise);
    assert!(decide(&[], error).0.is_empty());
}

#[test]
fn only_more_differences_than_in_the_control_are_reported() {
    let (decisions, _) = decide(&[table(0, 10_000, 5_000, 10_000), table(10, 10, 0, 0)], 0.01);
    assert!(decisions.iter().all(|decision| !decision.beyond_noise));
}
