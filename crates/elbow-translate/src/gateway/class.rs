//! GatewayClasses: whose they are, and whether their parameters can be used.

use std::sync::Arc;

use elbow_api::crds::LoadBalancerConfiguration;
use elbow_api::{GatewayController, NamespacedName};
use gateway_api::apis::experimental::gatewayclasses::GatewayClass;

use super::context::Context;
use super::target_group_config;

/// Why a GatewayClass is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassProblem {
    /// Its parametersRef names no namespace.
    NamespaceRequired,
    /// Its LoadBalancerConfiguration does not exist.
    NotFound(NamespacedName),
    /// The default TargetGroupConfiguration that this names cannot be used, for that reason.
    TargetGroups(String),
}

impl ClassProblem {
    /// The reason of the condition Accepted.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NamespaceRequired => "InvalidParametersRef",
            Self::NotFound(_) => "NotFound",
            Self::TargetGroups(_) => "InvalidParameters",
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
            Self::TargetGroups(cause) => format!(
                "failed to resolve default TargetGroupConfiguration for GatewayClass LBC: {cause}"
            ),
        }
    }

    /// What is to be done about it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::NamespaceRequired | Self::NotFound(_) => {
                "name a LoadBalancerConfiguration that exists, with its namespace"
            }
            Self::TargetGroups(_) => {
                "correct defaultTargetGroupConfiguration of its LoadBalancerConfiguration"
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
    let configuration = ctx.reader.load_balancer_configuration(&name);
    let configuration = configuration.ok_or(ClassProblem::NotFound(name))?;
    // Difference (class-says-what-is-wrong): LBC leaves the condition of such a class as it was.
    target_group_config::check_default(ctx, configuration).map_err(ClassProblem::TargetGroups)?;
    Ok(Some(configuration))
}
