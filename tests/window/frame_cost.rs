//! What the viewport believes that a frame costs.

use luxedit::app::FrameCost;

#[test]
fn small_frames_do_not_make_large_ones_look_dear() {
    let mut cost = FrameCost::default();
    assert_eq!(cost.secs(1e6), 0.0);
    let truth = |pixels: f64| 0.08 + 2e-7 * pixels;
    cost.add(1e4, truth(1e4));
    cost.add(6.6e5, truth(6.6e5));
    let off = (cost.secs(2e5) / truth(2e5) - 1.0).abs();
    assert!(off < 0.01, "{off}");
}

#[test]
fn a_delay_is_forgotten_and_a_lasting_load_is_learned() {
    let mut cost = FrameCost::default();
    cost.add(1e5, 0.1);
    cost.add(1e5, 5.0);
    assert!(cost.secs(1e5) < 0.12);
    for _ in 0..20 {
        cost.add(1e5, 1.0);
    }
    assert!((cost.secs(1e5) - 1.0).abs() < 1e-9);
}

#[test]
fn one_slow_large_frame_does_not_rule_its_size_out() {
    let mut cost = FrameCost::default();
    cost.add(1e6, 10.0);
    cost.add(1e4, 0.02);
    cost.add(2.5e5, 0.1);
    assert!(cost.secs(1e6) <= 0.4 + 1e-9, "{}", cost.secs(1e6));
}
