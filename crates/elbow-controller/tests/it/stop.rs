//! Standing by, taking over, handing over, losing the lease.

use std::time::Duration;

use elbow_cluster::live::Leadership;
use elbow_controller::{DriverError, Ended};
use tokio::time::Instant;

use crate::account::{FakeAws, Fate};
use crate::world::{ALB, World, pass, pass_millis};

#[tokio::test(start_paused = true)]
async fn a_standby_reads_everything_and_does_nothing() {
    let world = World::start(FakeAws::new(), ALB, Leadership::Standby);
    pass(600).await;
    assert!(world.readiness.is_ready());
    assert_eq!(world.aws.take_calls(), Vec::<&str>::new());
    assert_eq!(world.cluster.take_writes(), Vec::<String>::new());
    assert_eq!(world.cluster.take_events(), Vec::<String>::new());
    world.leadership.send_replace(Leadership::Leader);
    pass(60).await;
    assert!(world.programmed().starts_with("True"));
    assert!(
        world
            .metrics
            .encode()
            .contains("leader_election_master_status 1")
    );
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_is_stopped_ends_at_once() {
    let world = World::start(FakeAws::new(), ALB, Leadership::Standby);
    pass(1).await;
    let since = Instant::now();
    world.stop.cancel();
    assert_eq!(world.run.await.unwrap(), Ok(Ended::InOrder));
    assert!(since.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_a_round_answers_what_is_out_and_begins_nothing() {
    for millis in [50, 150, 250, 350, 450, 550, 650] {
        let world = World::leading(ALB);
        pass_millis(millis).await;
        let since = Instant::now();
        world.stop.cancel();
        assert_eq!(world.run.await.unwrap(), Ok(Ended::InOrder), "{millis}");
        assert!(since.elapsed() < Duration::from_secs(2), "{millis}");
        let calls = world.aws.take_calls();

        // The next one finishes the work.
        let next = World::start(world.aws.clone(), ALB, Leadership::Leader);
        pass(120).await;
        assert!(next.programmed().starts_with("True"), "{millis}: {calls:?}");
        let ours = next.aws.ours();
        assert_eq!(ours.get("loadbalancer"), Some(&1), "{millis}: {ours:?}");
        assert_eq!(ours.get("targetgroup"), Some(&1), "{millis}: {ours:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_call_that_is_out_but_not_for_ever() {
    let world = World::leading(ALB);
    world
        .aws
        .set_fault(|call| (call.operation() == "CreateLoadBalancer").then_some(Fate::Hangs));
    pass(5).await;
    let since = Instant::now();
    world.stop.cancel();
    // Whoever leads next must not begin before it has taken effect, or cannot any more.
    assert_eq!(world.run.await.unwrap(), Ok(Ended::InMidair));
    let took = since.elapsed();
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(9)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_instance_with_nothing_to_do_says_that_it_lives() {
    let world = World::leading(ALB);
    for _ in 0..20 {
        pass(30).await;
        assert!(world.readiness.is_alive());
    }
    world.run.abort();
    pass(61).await;
    assert!(!world.readiness.is_alive());
}

#[tokio::test(start_paused = true)]
async fn whoever_loses_the_lease_stops_at_once() {
    let world = World::leading(ALB);
    pass_millis(300).await;
    let since = Instant::now();
    world.leadership.send_replace(Leadership::Lost);
    assert_eq!(world.run.await.unwrap(), Err(DriverError::LeaseLost));
    assert!(since.elapsed() < Duration::from_millis(50));
    let calls = world.aws.take_calls().len();
    assert!(calls > 0);
    pass(60).await;
    assert_eq!(world.aws.take_calls(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_rewrites_no_status() {
    let world = World::leading(ALB);
    pass(60).await;
    world.stop.cancel();
    assert_eq!(world.run.await.unwrap(), Ok(Ended::InOrder));
    world.cluster.take_writes();
    world.aws.take_calls();
    let cluster = world.cluster.clone();
    let next = World::resume(world.aws.clone(), cluster);
    pass(60).await;
    assert_eq!(next.cluster.take_writes(), Vec::<String>::new());
    // What the last one kept vouches for the rest.
    let calls = next.aws.take_calls();
    assert!(calls.contains(&"DescribeLoadBalancers"), "{calls:?}");
    assert!(!calls.contains(&"DescribeRules"), "{calls:?}");
    assert!(calls.iter().all(|c| !c.starts_with("Create")), "{calls:?}");
}
