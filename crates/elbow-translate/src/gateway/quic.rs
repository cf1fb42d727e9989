//! Server ids: by what a network load balancer finds the target of a QUIC connection.
//!
//! In: a pod. Out: the id that the process in it puts into connections on a port, in AWS's form. As with
//! LBC it stands in an environment variable of a container, base64, and counts in pods whose annotation
//! says that they have one.
//!
//! Difference (quic-server-ids): LBC's webhook puts it there; elbow has none for that yet.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elbow_api::names::{QUIC_CONTAINERS_ANNOTATION, QUIC_SERVER_ID_VARIABLE};
use elbow_model::Port;
use k8s_openapi::api::core::v1::{Container, Pod};

/// Bytes of a server id; AWS takes no other number:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html>.
const SERVER_ID_LENGTH: usize = 8;

/// The server id of a pod on a port: that of the container which declares the port, or else of the first
/// container that has one.
pub(crate) fn server_id(pod: &Pod, port: Port) -> Option<String> {
    let annotations = pod.metadata.annotations.as_ref();
    if !annotations.is_some_and(|a| a.contains_key(QUIC_CONTAINERS_ANNOTATION)) {
        return None;
    }
    let spec = pod.spec.as_ref()?;
    // A sidecar is an init container that goes on running.
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(sidecars);
    let with_ids: Vec<_> = containers.filter_map(|c| Some((c, id_of(c)?))).collect();
    let declares = |container: &Container| {
        let mut ports = container.ports.iter().flatten();
        ports.any(|p| p.container_port == i32::from(port.get()))
    };
    // As with LBC the last of several that declare it.
    let own = with_ids.iter().rfind(|(container, _)| declares(container));
    own.or(with_ids.first()).map(|(_, id)| id.clone())
}

fn id_of(container: &Container) -> Option<String> {
    let mut variables = container.env.iter().flatten();
    let variable = variables.find(|v| v.name == QUIC_SERVER_ID_VARIABLE)?;
    let bytes = STANDARD.decode(variable.value.as_deref()?).ok()?;
    (bytes.len() == SERVER_ID_LENGTH).then(|| format!("0x{}", hex::encode(bytes)))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ContainerPort, EnvVar, PodSpec};

    use super::*;

    fn container(ports: &[i32], id: Option<&str>) -> Container {
        let port = |number: &i32| ContainerPort {
            container_port: *number,
            ..ContainerPort::default()
        };
        Container {
            ports: Some(ports.iter().map(port).collect()),
            env: id.map(|id| {
                vec![EnvVar {
                    name: QUIC_SERVER_ID_VARIABLE.to_owned(),
                    value: Some(id.to_owned()),
                    ..EnvVar::default()
                }]
            }),
            ..Container::default()
        }
    }

    #[test]
    fn the_id_is_that_of_the_container_that_has_the_port() {
        let one = || container(&[443], Some("AAAAAAAAAAE="));
        let two = || container(&[8443], Some("AAAAAAAAAAI="));
        let first = Some("0x0000000000000001");
        let second = Some("0x0000000000000002");
        let rows = [
            ("no container has one", vec![container(&[443], None)], None),
            ("the container of the port", vec![two(), one()], first),
            ("the first where none declares it", vec![two()], second),
            (
                "one beside a container without",
                vec![container(&[443], None), two()],
                second,
            ),
            ("no base64", vec![container(&[443], Some("?"))], None),
            ("too short", vec![container(&[443], Some("AAE="))], None),
        ];
        for (name, containers, expected) in rows {
            let mut pod = Pod {
                spec: Some(PodSpec {
                    containers,
                    ..PodSpec::default()
                }),
                ..Pod::default()
            };
            let of = |pod: &Pod| Port::new(443).and_then(|port| server_id(pod, port));
            assert_eq!(of(&pod), None, "{name}, and no annotation");
            let annotation = (QUIC_CONTAINERS_ANNOTATION.to_owned(), "app".to_owned());
            pod.metadata.annotations = Some([annotation].into());
            assert_eq!(of(&pod).as_deref(), expected, "{name}");
        }
    }
}
