//! Recorded sessions: `TRYCMD=overwrite cargo test -p tidegate-cli` records them anew; read the difference.

#[test]
fn every_session_goes_as_recorded() {
    trycmd::TestCases::new().default_bin_name("tidegate").case("tests/cmd/*.md");
}
