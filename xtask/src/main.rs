//! The project's own commands, `cargo xtask COMMAND`: one place that knows how everything is checked and measured.

mod crash;
mod instructions;
mod measure;
mod need;
mod peers;
mod shell;
mod stages;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [STAGE ...] [--without NAME ...]   every check that must pass before a change lands; finds or installs what the
                                          tests need; --without leaves out the stages that need NAME
  test --list                             the stages, and what each needs
  nightly                                 the same tests with their random cases at full count, and 2,000 kills
  peers [CRATE] [--quick] [--json]        our crates beside their peers: figures, ratios, targets
        [--filter WORD] [--write]         --write puts the table into benches/RESULTS.md; --python installs the peers that are
        [--python]                        Python (pebble, Dask) into target/python first, where the benches find them;
        [--durare]                        --durare runs benches/durare, too, which builds 236 packages first
  crash [--kills N] [--wfinstances DIR]   runs killed by SIGKILL at every point of the journal's store and at random, N times (200
        [--stg DIR]                       if nothing is said), and gone on with, over the graphs of these folders, too; a
                                          completion lost or done twice fails
  instructions                            instructions of the limiter's fast path, counted by callgrind; above 90 fails
  laws [--scenario FILE]... [--seeds N]   the limiter's control laws in virtual time beside an oracle; draws the limits
       [--from N] [--only NAME] [--details]   over time into target/laws; --from N begins with run number N
       [--random N] [--show NUMBER]       how power is distributed over N scenarios that nobody chose; one of them as a file;
       [--write]                          --write puts the tables into benches/RESULTS.md
  metg [--rounds N] [--full] [--json] [FILTER]   how short tasks may be before half, and a tenth, of the machine is lost,
                                          beside a JoinSet loop; and how near tasks that wait come to the ideal
  claims [--rounds N] [--json] [FILTER]   what other orchestrators claim of themselves, on work of the same shape: one after
                                          another, ours, and the ideal; a claim that is missed although possible fails
  makespan [--stg DIR] [--psplib DIR]     how far the scheduler's order is from the best known, over public task graphs in
           [--wfinstances DIR] [--json]   virtual time; above 0.7 % on STG, 5 % on j30 or 11 % on j120 of PSPLIB fails";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test", rest @ ..] => stages::test(rest),
        ["nightly", rest @ ..] => stages::nightly(rest),
        ["peers", rest @ ..] => peers::peers(rest),
        ["crash", rest @ ..] => crash::crash(rest),
        ["instructions", rest @ ..] => instructions::instructions(rest),
        ["laws", rest @ ..] => measure::measure("laws", "limiter", rest),
        ["metg", rest @ ..] => measure::measure("metg", "engine", rest),
        ["claims", rest @ ..] => measure::measure("claims", "engine", rest),
        ["makespan", rest @ ..] => measure::measure("makespan", "makespan", rest),
        ["--help" | "-h" | "help"] => {
            shell::say(USAGE);
            Ok(())
        }
        [] => Err(format!("a command is missing\n{USAGE}")),
        [other, ..] => Err(format!("unknown command `{other}`\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            shell::complain(&format!("xtask: {why}"));
            ExitCode::FAILURE
        }
    }
}
