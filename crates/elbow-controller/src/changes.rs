//! Whether a change of an object can change what rounds come to.
//!
//! In: an object before and after. Out: whether translation reads the difference. What always holds: of
//! the kinds that elbow writes a status to, nobody reads it but that of pods; were the rounds told of it, each status that
//! says that a round failed would begin the next round at once.

use elbow_api::Object;

/// Whether translation reads two states of an object alike.
pub(crate) fn are_alike(before: &Object, after: &Object) -> bool {
    match (as_read(before), as_read(after)) {
        (Some(before), Some(after)) => before == after,
        _ => false,
    }
}

/// An object as translation reads it; `None` where it reads all of it.
fn as_read(object: &Object) -> Option<Object> {
    macro_rules! without_status {
        ($($kind:ident),* $(,)?) => {
            match object {
                $( Object::$kind(object) => {
                    let mut object = object.as_ref().clone();
                    object.status = None;
                    object.metadata.resource_version = None;
                    Some(Object::from(object))
                } )*
                _ => None,
            }
        };
    }
    if let Object::Pod(pod) = object {
        let mut pod = pod.as_ref().clone();
        pod.metadata.resource_version = None;
        return Some(Object::from(pod));
    }
    without_status!(
        GatewayClass,
        Gateway,
        ListenerSet,
        HttpRoute,
        GrpcRoute,
        TlsRoute,
        TcpRoute,
        UdpRoute,
        LoadBalancerConfiguration,
        TargetGroupConfiguration,
        ListenerRuleConfiguration,
        TargetGroupBinding,
    )
}
