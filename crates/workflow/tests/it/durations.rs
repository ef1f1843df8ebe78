use std::time::Duration;

use tidegate_workflow::Durations;

#[test]
fn what_was_learned_survives_being_written_and_read() {
    let mut durations = Durations::new(4);
    for (kind, millis) in [("fetch", 1000), ("parse", 2500), ("fetch", 300)] {
        durations.observe(kind, Duration::from_millis(millis));
    }
    let text = serde_json::to_string(&durations).expect("plain data");
    let mut read: Durations = serde_json::from_str(&text).expect("it was just written");
    assert_eq!(read, durations);
    // And goes on as the other would have.
    for durations in [&mut read, &mut durations] {
        durations.observe("fetch", Duration::from_secs(7));
    }
    assert_eq!(read.estimate("fetch"), durations.estimate("fetch"));
}
