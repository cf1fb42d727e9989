//! GatewayClasses: whose they are, and whether their parameters can be used.

use std::sync::Arc;

use elbow_api::crds::LoadBalancerConfiguration;
use elbow_api::{GatewayController, NamespacedName};
use gateway_api::apis::experimental::gatewayclasses::GatewayClass;

use super::context::Context;

/// Why a GatewayClass is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassProblem {
    /// Its parametersRef names no namespace.
    NamespaceRequired,
    /// Its LoadBalancerConfiguration does not exist.
    NotFound(NamespacedName),
}

impl ClassProblem {
    /// The reason of the condition Accepted.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NamespaceRequired => "InvalidParametersRef",
            Self::NotFound(_) => "NotFound",
        }
    }

    /// The message of the condition Accepted.
    pub fn message(&self) -> String {
        match self {
            Self::NamespaceRequired => {
                "Namespace must be specified in ParametersRef for LoadBalancerConfiguration"
                    .to_owned()
            }
            Self::NotFound(name) => {
                let NamespacedName { namespace, name } = name;
                format!("LoadBalancerConfiguration ({name},{namespace}) not found")
            }
        }
    }
}

/// The controller that a class selects; `None` when it is not one of ours.
pub(crate) fn controller(class: &GatewayClass) -> Option<GatewayController> {
    GatewayController::from_controller_name(&class.spec.controller_name)
}

/// The configuration that a class names.
///
/// Difference (class-is-judged-afresh): LBC reads the class's condition and an annotation that it keeps on
/// it, so that any edit of the configuration fails Gateways for a moment; elbow judges the class itself.
pub(crate) fn configuration<'a>(
    ctx: &Context<'a>,
    class: &GatewayClass,
) -> Result<Option<&'a Arc<LoadBalancerConfiguration>>, ClassProblem> {
    let Some(reference) = &class.spec.parameters_ref else {
        return Ok(None);
    };
    let namespace = reference.namespace.as_ref().filter(|n| !n.is_empty());
    let namespace = namespace.ok_or(ClassProblem::NamespaceRequired)?;
    let name = NamespacedName::new(namespace.clone(), reference.name.clone());
    match ctx.reader.load_balancer_configuration(&name) {
        Some(configuration) => Ok(Some(configuration)),
        None => Err(ClassProblem::NotFound(name)),
    }
}
