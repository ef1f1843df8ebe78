use super::*;

#[test]
fn growth_pays_if_more_is_done_by_half_as_much() {
    let ground = || Ground::new(40.0, 1000.0, 0.0);
    assert!(ground().pays(80.0, 1415.0, 0.0) && !ground().pays(80.0, 1413.0, 0.0), "√2");
    assert!(ground().pays(46.0, 500.0, 0.0), "too little growth to tell");
    assert!(!ground().pays(47.0, 500.0, 0.0));
    // Two standard deviations, √(0.01 + 0.01) each, are chance: ln 0.76 − ½·ln 2 = −0.62 is not.
    let doubtful = |rate| Ground::new(40.0, 1000.0, 0.01).pays(80.0, rate, 0.01);
    assert!(doubtful(1070.0) && !doubtful(1062.0));
}

#[test]
fn the_ground_is_where_the_limit_is_when_it_falls_and_where_growth_surely_paid() {
    let mut ground = Ground::new(40.0, 1000.0, 0.001);
    ground.pays(38.0, 1000.0, 0.001);
    assert_eq!(ground.limit, 40.0, "a twentieth is the same limit");
    ground.pays(41.0, 2000.0, 0.001);
    assert_eq!(ground.limit, 40.0, "the same limit, more done");
    assert!(!ground.pays(80.0, 2000.0, 0.001), "no more than was done last at 40");
    ground.pays(30.0, 700.0, 0.001);
    assert_eq!(ground.limit, 30.0);
    ground.pays(60.0, 980.0, 0.001);
    assert_eq!(ground.limit, 30.0, "it may have paid");
    ground.pays(60.0, 1400.0, 0.001);
    assert_eq!(ground.limit, 60.0);
}
