//! The short form of the fleet's fault run: every kind of process is killed once, a network is cut, an owner of partitions is stopped for
//! longer than its session, and partitions are added, all under load and rotation. `cargo xtask faults --fleet` is the long form.

#![expect(clippy::print_stderr, reason = "what a run found is for a person")]

use std::time::Duration;

use rookery_tests::faults::fleet::fault::{Fault, Pair, Target};
use rookery_tests::faults::fleet::{self, Plan};
use rookery_tests::kit::fleet::{Plan as FleetPlan, SESSION_SECONDS};

fn keeps_its_promises(fleet: FleetPlan, faults: Vec<Fault>) {
    let folder =
        tempfile::Builder::new().prefix("rookery-fleet-").tempdir().expect("a temporary folder");
    let seed = rookery_core::time::now().unsigned_abs();
    let plan = Plan { fleet, faults, seed, folder: folder.path().to_owned() };
    let mut broken = 0;
    let result = fleet::run(&plan, |line| {
        eprintln!("{line}");
        broken += u32::from(!line.is_kept());
    });
    if broken > 0 || result.is_err() {
        let kept = folder.keep();
        let error = result.err().map(|error| format!("{error:#}")).unwrap_or_default();
        panic!("seed {seed}, everything is kept in {}: {broken} broken; {error}", kept.display());
    }
}

#[test]
fn a_fleet_loses_doubles_and_reorders_nothing_when_each_of_its_parts_dies() {
    let mut faults = vec![Fault::Nothing];
    faults.extend(
        [Target::Collector, Target::Broker, Target::Store, Target::Ingester, Target::Query]
            .map(Fault::Kill),
    );
    faults.push(Fault::Pause(Target::Ingester, Duration::from_secs(SESSION_SECONDS + 4)));
    faults.push(Fault::Cut(Pair::IngesterStore, Duration::from_secs(4)));
    faults.push(Fault::Grow(7));
    keeps_its_promises(FleetPlan { collectors: 2, queries: 1, ..FleetPlan::default() }, faults);
}

#[test]
fn what_a_broker_lost_is_in_the_ledger() {
    let fleet = FleetPlan { collectors: 1, ingesters: 1, queries: 1, ..FleetPlan::default() };
    keeps_its_promises(fleet, vec![Fault::LosesLog(2)]);
}
