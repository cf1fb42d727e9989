//! Listeners that ask their clients for certificates.

use elbow_model::stack::Protocol;
use elbow_model::{MutualAuthentication, Stack, TrustStoreArn};
use elbow_plan::{Hazard, Policy};

use crate::apply::World;
use crate::build::*;

#[test]
fn what_a_change_of_mutual_tls_does_to_clients_is_said() {
    let verify = |arn: &str| MutualAuthentication::Verify {
        trust_store: TrustStoreArn::new(arn).into(),
        ignore_client_certificate_expiry: false,
        advertise_trust_store_ca_names: false,
    };
    let (off, passthrough) = (MutualAuthentication::Off, MutualAuthentication::Passthrough);
    let refused =
        "drops traffic: clients of port 443 without a certificate that it trusts are refused";
    let old = "drops traffic: clients of port 443 that only the old trust store trusts are refused";
    let open = "port 443 lets in clients without a certificate that was verified";
    let rows = [
        ("same", verify("a"), verify("a"), ""),
        ("begins", off.clone(), verify("a"), refused),
        ("ends", verify("a"), off.clone(), open),
        ("falls back", verify("a"), passthrough.clone(), open),
        ("another trust store", verify("a"), verify("b"), old),
        ("passes through", off, passthrough, ""),
    ];
    for (name, before, after, expected) in rows {
        let mut stack = alb();
        add_listener(&mut stack, 443, Protocol::Https, not_found());
        let ask = |stack: &mut Stack, asked| {
            let listener = stack.listeners.get_mut(&port(443)).unwrap();
            listener.mutual_authentication = asked;
        };
        let changes = usize::from(before != after);
        ask(&mut stack, before);
        let mut world = applied(&stack);
        ask(&mut stack, after);
        let plan = converge(&mut world, &stack);
        assert_eq!(plan.steps.len(), changes, "{name}");
        let hazards: Vec<_> = plan
            .hazards()
            .map(|(_, hazard)| hazard.to_string())
            .collect();
        assert_eq!(hazards.join("; "), expected, "{name}");
    }
}

#[test]
fn a_third_listener_that_verifies_is_one_too_many() {
    let mut stack = alb();
    for number in [443, 7443, 8443] {
        add_listener(&mut stack, number, Protocol::Https, not_found());
        let listener = stack.listeners.get_mut(&port(number)).unwrap();
        listener.mutual_authentication = MutualAuthentication::Verify {
            trust_store: TrustStoreArn::new("a").into(),
            ignore_client_certificate_expiry: false,
            advertise_trust_store_ca_names: false,
        };
    }
    let plan = plan_in(&World::default(), &stack, &Policy::default());
    let crowded = plan.hazards().filter(|(_, hazard)| {
        matches!(
            hazard,
            Hazard::ExceedsQuota {
                limit: 2,
                wanted: 3,
                ..
            }
        )
    });
    assert_eq!(crowded.count(), 3);
}
