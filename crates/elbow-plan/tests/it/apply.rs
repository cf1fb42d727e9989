//! A model of AWS that is just good enough to carry a plan out: it keeps what the planner observes.
//!
//! It refuses what would make a plan wrong: references to nothing, a priority that is taken, a target group
//! of two load balancers, the deletion of what is in use, a name that is taken.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::aws_call::TagTarget;
use elbow_model::observed::{
    LoadBalancerState, ObservedListener, ObservedLoadBalancer, ObservedRule, ObservedSecurityGroup,
    ObservedStack, ObservedTarget, ObservedTargetGroup, TargetState,
};
use elbow_model::rule::{Action, Condition, Forward, Pattern, WeightedTargetGroup};
use elbow_model::stack::{StackId, Target};
use elbow_model::{
    AwsCall, LoadBalancerArn, MutualAuthentication, Observed, Port, Ref, SecurityGroupId, Tags,
    TargetGroupArn,
};
use elbow_plan::{Plan, Provided, StepId, StepKind, Wait, resolve};

/// What is there, and the number of the next resource.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) observed: Observed,
    next: u32,
    /// Targets that never get healthy.
    pub(crate) broken: BTreeSet<String>,
}

/// How a plan was carried out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) done: Vec<StepId>,
    pub(crate) failed: Vec<(StepId, String)>,
    pub(crate) skipped: Vec<StepId>,
}

/// Carries out one plan, step by step.
pub(crate) struct Execution {
    provided: Provided,
    succeeded: BTreeSet<StepId>,
    pub(crate) outcome: Outcome,
}

impl Execution {
    pub(crate) fn new() -> Self {
        Self {
            provided: Provided::new(),
            succeeded: BTreeSet::new(),
            outcome: Outcome::default(),
        }
    }

    pub(crate) fn step(&mut self, world: &mut World, step: &elbow_plan::Step) {
        if step.held.is_some() || !step.after.iter().all(|id| self.succeeded.contains(id)) {
            self.outcome.skipped.push(step.id);
            return;
        }
        let result = match &step.kind {
            StepKind::Wait(wait) => world.wait(wait, &self.provided),
            StepKind::Call(call) => match resolve(call, &self.provided) {
                Ok(call) => world.call(&step.stack, &call).map(|id| {
                    if let (Some(key), Some(id)) = (&step.provides, id) {
                        self.provided.insert(key.clone(), id);
                    }
                }),
                Err(key) => Err(format!("{key} does not exist")),
            },
        };
        match result {
            Ok(()) => {
                self.succeeded.insert(step.id);
                self.outcome.done.push(step.id);
            }
            Err(error) => self.outcome.failed.push((step.id, error)),
        }
        world.settle();
    }
}

impl World {
    /// Carries out a plan.
    pub(crate) fn apply(&mut self, plan: &Plan) -> Outcome {
        let mut execution = Execution::new();
        for step in &plan.steps {
            execution.step(self, step);
        }
        execution.outcome
    }

    pub(crate) fn stack(&self, id: &StackId) -> ObservedStack {
        self.observed.stacks.get(id).cloned().unwrap_or_default()
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn stacks(&mut self) -> impl Iterator<Item = &mut ObservedStack> {
        self.observed.stacks.values_mut()
    }

    fn balancers(&mut self) -> impl Iterator<Item = &mut ObservedLoadBalancer> {
        self.stacks().flat_map(|stack| &mut stack.load_balancers)
    }

    fn balancer(
        &mut self,
        arn: &Ref<LoadBalancerArn>,
    ) -> Result<&mut ObservedLoadBalancer, String> {
        let arn = arn.known().cloned();
        self.balancers()
            .find(|lb| Some(&lb.arn) == arn.as_ref())
            .ok_or_else(|| "LoadBalancerNotFound".to_owned())
    }

    fn group(&mut self, arn: &Ref<TargetGroupArn>) -> Result<&mut ObservedTargetGroup, String> {
        let arn = arn.known().cloned();
        self.stacks()
            .flat_map(|stack| &mut stack.target_groups)
            .find(|group| Some(&group.arn) == arn.as_ref())
            .ok_or_else(|| "TargetGroupNotFound".to_owned())
    }

    fn security_group(
        &mut self,
        id: &Ref<SecurityGroupId>,
    ) -> Result<&mut ObservedSecurityGroup, String> {
        let id = id.known().cloned();
        self.stacks()
            .flat_map(|stack| &mut stack.security_groups)
            .find(|group| Some(&group.id) == id.as_ref())
            .ok_or_else(|| "InvalidGroup.NotFound".to_owned())
    }

    fn listener(
        &mut self,
        arn: &Ref<elbow_model::ListenerArn>,
    ) -> Result<&mut ObservedListener, String> {
        let arn = arn.known().cloned();
        self.balancers()
            .flat_map(|lb| &mut lb.listeners)
            .find(|listener| Some(&listener.arn) == arn.as_ref())
            .ok_or_else(|| "ListenerNotFound".to_owned())
    }

    fn rule(&mut self, arn: &Ref<elbow_model::RuleArn>) -> Result<&mut ObservedRule, String> {
        let arn = arn.known().cloned();
        self.balancers()
            .flat_map(|lb| &mut lb.listeners)
            .flat_map(|listener| &mut listener.rules)
            .find(|rule| Some(&rule.arn) == arn.as_ref())
            .ok_or_else(|| "RuleNotFound".to_owned())
    }

    fn check_action(&mut self, action: &Action) -> Result<(), String> {
        let Action::Forward(forward) = action else {
            return Ok(());
        };
        if forward.target_groups.len() > 5 {
            return Err("TooManyTargetGroups".to_owned());
        }
        for group in &forward.target_groups {
            self.group(&group.target_group)?;
        }
        Ok(())
    }

    /// What AWS reports after it was told this.
    fn stored(action: &Action) -> Action {
        match action {
            Action::Forward(forward) => {
                let target_groups = forward
                    .target_groups
                    .iter()
                    .map(|group| WeightedTargetGroup {
                        target_group: group.target_group.clone(),
                        weight: Some(group.weight.unwrap_or(1)),
                    })
                    .rev()
                    .collect();
                Action::Forward(Forward {
                    target_groups,
                    stickiness: Some(forward.stickiness.unwrap_or(elbow_model::rule::Stickiness {
                        enabled: false,
                        duration_seconds: None,
                    })),
                })
            }
            Action::Redirect(redirect) => {
                let mut redirect = redirect.clone();
                redirect.host.get_or_insert_with(|| "#{host}".to_owned());
                redirect.query.get_or_insert_with(|| "#{query}".to_owned());
                Action::Redirect(redirect)
            }
            other => other.clone(),
        }
    }

    /// Makes one call. Answers with the id of what it created.
    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn call(&mut self, stack: &StackId, call: &AwsCall) -> Result<Option<String>, String> {
        let number = self.number();
        match call.clone() {
            AwsCall::CreateSecurityGroup {
                name, vpc_id, tags, ..
            } => {
                let id = SecurityGroupId::new(format!("sg-{number}"));
                let taken = self
                    .stacks()
                    .any(|s| s.security_groups.iter().any(|g| g.name == name));
                if taken {
                    return Err("InvalidGroup.Duplicate".to_owned());
                }
                self.own(stack).security_groups.push(ObservedSecurityGroup {
                    id: id.clone(),
                    name,
                    vpc_id,
                    ingress: Vec::new(),
                    tags,
                });
                return Ok(Some(id.to_string()));
            }
            AwsCall::DeleteSecurityGroup { group } => {
                let id = self.security_group(&group)?.id.clone();
                if self.balancers().any(|lb| lb.security_groups.contains(&id)) {
                    return Err("DependencyViolation".to_owned());
                }
                for stack in self.stacks() {
                    stack.security_groups.retain(|group| group.id != id);
                }
            }
            AwsCall::AuthorizeSecurityGroupIngress { group, rules } => {
                let group = self.security_group(&group)?;
                if rules.iter().any(|rule| group.ingress.contains(rule)) {
                    return Err("InvalidPermission.Duplicate".to_owned());
                }
                group.ingress.extend(rules);
                if group.ingress.len() > 60 {
                    return Err("RulesPerSecurityGroupLimitExceeded".to_owned());
                }
            }
            AwsCall::RevokeSecurityGroupIngress { group, rules } => {
                let group = self.security_group(&group)?;
                if !rules.iter().all(|rule| group.ingress.contains(rule)) {
                    return Err("InvalidPermission.NotFound".to_owned());
                }
                group.ingress.retain(|rule| !rules.contains(rule));
            }
            AwsCall::CreateSecurityGroupTags { group, tags } => {
                self.security_group(&group)?.tags.extend(tags);
            }
            AwsCall::DeleteSecurityGroupTags { group, keys } => {
                self.security_group(&group)?
                    .tags
                    .retain(|key, _| !keys.contains(key));
            }
            AwsCall::CreateLoadBalancer {
                name,
                lb_type,
                scheme,
                ip_address_type,
                subnets,
                security_groups,
                tags,
            } => {
                if self.balancers().any(|lb| lb.name == name) {
                    return Err("DuplicateLoadBalancerName".to_owned());
                }
                let arn = LoadBalancerArn::new(format!("arn:lb/{name}/{number}"));
                let lb = ObservedLoadBalancer {
                    arn: arn.clone(),
                    dns_name: format!("{name}-{number}.elb.example"),
                    name,
                    lb_type,
                    scheme,
                    state: LoadBalancerState::Provisioning,
                    ip_address_type,
                    subnets: subnets.into_iter().map(|s| s.subnet_id).collect(),
                    security_groups: known(&security_groups)?,
                    enforce_security_group_inbound_rules_on_private_link_traffic: None,
                    attributes: [("deletion_protection.enabled".to_owned(), "false".to_owned())]
                        .into(),
                    tags,
                    listeners: Vec::new(),
                };
                self.own(stack).load_balancers.push(lb);
                return Ok(Some(arn.to_string()));
            }
            AwsCall::DeleteLoadBalancer { load_balancer } => {
                let lb = self.balancer(&load_balancer)?;
                if lb
                    .attributes
                    .get("deletion_protection.enabled")
                    .is_some_and(|v| v == "true")
                {
                    return Err("OperationNotPermitted".to_owned());
                }
                let arn = lb.arn.clone();
                for stack in self.stacks() {
                    stack.load_balancers.retain(|lb| lb.arn != arn);
                }
            }
            AwsCall::SetSecurityGroups {
                load_balancer,
                security_groups,
                enforce_security_group_inbound_rules_on_private_link_traffic,
            } => {
                let groups = known(&security_groups)?;
                let lb = self.balancer(&load_balancer)?;
                lb.security_groups = groups;
                if let Some(enforce) = enforce_security_group_inbound_rules_on_private_link_traffic
                {
                    lb.enforce_security_group_inbound_rules_on_private_link_traffic = Some(enforce);
                }
            }
            AwsCall::SetSubnets {
                load_balancer,
                subnets,
            } => {
                self.balancer(&load_balancer)?.subnets =
                    subnets.into_iter().map(|s| s.subnet_id).collect();
            }
            AwsCall::SetIpAddressType {
                load_balancer,
                ip_address_type,
            } => {
                self.balancer(&load_balancer)?.ip_address_type = ip_address_type;
            }
            AwsCall::ModifyLoadBalancerAttributes {
                load_balancer,
                attributes,
            } => {
                self.balancer(&load_balancer)?.attributes.extend(attributes);
            }
            AwsCall::CreateTargetGroup {
                name,
                target_type,
                protocol,
                protocol_version,
                port,
                ip_address_type,
                vpc_id,
                health_check,
                tags,
            } => {
                if self
                    .stacks()
                    .any(|s| s.target_groups.iter().any(|g| g.name == name))
                {
                    return Err("DuplicateTargetGroupName".to_owned());
                }
                let arn = TargetGroupArn::new(format!("arn:targetgroup/{name}/{number}"));
                self.own(stack).target_groups.push(ObservedTargetGroup {
                    arn: arn.clone(),
                    name,
                    target_type,
                    protocol,
                    protocol_version,
                    port,
                    ip_address_type,
                    vpc_id,
                    health_check,
                    attributes: [(
                        "deregistration_delay.timeout_seconds".to_owned(),
                        "300".to_owned(),
                    )]
                    .into(),
                    tags,
                    load_balancers: BTreeSet::new(),
                    targets: Vec::new(),
                    own: None,
                });
                return Ok(Some(arn.to_string()));
            }
            AwsCall::ModifyTargetGroup {
                target_group,
                health_check,
            } => {
                self.group(&target_group)?.health_check = health_check;
            }
            AwsCall::ModifyTargetGroupAttributes {
                target_group,
                attributes,
            } => {
                self.group(&target_group)?.attributes.extend(attributes);
            }
            AwsCall::DeleteTargetGroup { target_group } => {
                let group = self.group(&target_group)?;
                if !group.load_balancers.is_empty() {
                    return Err("ResourceInUse".to_owned());
                }
                let arn = group.arn.clone();
                for stack in self.stacks() {
                    stack.target_groups.retain(|group| group.arn != arn);
                }
            }
            AwsCall::RegisterTargets {
                target_group,
                targets,
            } => {
                let group = self.group(&target_group)?;
                crate::build::check_room(group, &targets)?;
                for target in targets {
                    group
                        .targets
                        .retain(|t| t.target.id != target.id || t.target.port != target.port);
                    group
                        .targets
                        .push(observed_target(target, TargetState::Initial));
                }
            }
            AwsCall::DeregisterTargets {
                target_group,
                targets,
            } => {
                let group = self.group(&target_group)?;
                for target in &mut group.targets {
                    if targets.contains(&target.target) {
                        target.state = TargetState::Draining;
                    }
                }
            }
            AwsCall::CreateListener {
                load_balancer,
                port,
                protocol,
                default_action,
                default_certificate,
                ssl_policy,
                alpn_policy,
                mutual_authentication,
                tags,
            } => {
                self.check_action(&default_action)?;
                let lb = self.balancer(&load_balancer)?;
                if lb.listeners.iter().any(|listener| listener.port == port) {
                    return Err("DuplicateListener".to_owned());
                }
                let arn = elbow_model::ListenerArn::new(format!("{}/listener/{number}", lb.arn));
                lb.listeners.push(ObservedListener {
                    arn: arn.clone(),
                    port,
                    protocol,
                    default_actions: vec![Self::stored(&default_action)],
                    default_certificate: default_certificate.as_ref().and_then(Ref::known).cloned(),
                    certificates: BTreeSet::new(),
                    ssl_policy,
                    alpn_policy,
                    mutual_authentication: mutual_authentication.unwrap_or_default(),
                    attributes: BTreeMap::new(),
                    tags,
                    rules: Vec::new(),
                });
                return Ok(Some(arn.to_string()));
            }
            AwsCall::ModifyListener {
                listener,
                protocol,
                default_action,
                default_certificate,
                ssl_policy,
                alpn_policy,
                mutual_authentication,
            } => {
                if let Some(action) = &default_action {
                    self.check_action(action)?;
                }
                let listener = self.listener(&listener)?;
                if let Some(protocol) = protocol {
                    listener.protocol = protocol;
                    if !protocol.is_secure() {
                        listener.default_certificate = None;
                        listener.ssl_policy = None;
                        listener.mutual_authentication = MutualAuthentication::Off;
                        listener.certificates.clear();
                    }
                }
                if let Some(action) = default_action {
                    listener.default_actions = vec![Self::stored(&action)];
                }
                listener.default_certificate = default_certificate
                    .as_ref()
                    .and_then(Ref::known)
                    .cloned()
                    .or(listener.default_certificate.take());
                listener.ssl_policy = ssl_policy.or(listener.ssl_policy.take());
                listener.alpn_policy = alpn_policy.or(listener.alpn_policy.take());
                if let Some(asked) = mutual_authentication {
                    listener.mutual_authentication = asked;
                }
                if listener.protocol.is_secure() && listener.default_certificate.is_none() {
                    return Err("CertificateNotFound".to_owned());
                }
            }
            AwsCall::ModifyListenerAttributes {
                listener,
                attributes,
            } => {
                self.listener(&listener)?.attributes.extend(attributes);
            }
            AwsCall::DeleteListener { listener } => {
                let arn = self.listener(&listener)?.arn.clone();
                for lb in self.balancers() {
                    lb.listeners.retain(|listener| listener.arn != arn);
                }
            }
            AwsCall::AddListenerCertificates {
                listener,
                certificate,
            } => {
                let listener = self.listener(&listener)?;
                if !listener.protocol.is_secure() {
                    return Err("InvalidConfigurationRequest".to_owned());
                }
                listener.certificates.extend(certificate.known().cloned());
            }
            AwsCall::RemoveListenerCertificates {
                listener,
                certificate,
            } => {
                let listener = self.listener(&listener)?;
                if listener.default_certificate.as_ref() == Some(&certificate) {
                    return Err("OperationNotPermitted".to_owned());
                }
                listener.certificates.remove(&certificate);
            }
            AwsCall::CreateRule {
                listener,
                priority,
                conditions,
                action,
                transforms,
                tags,
            } => {
                self.check_action(&action)?;
                if conditions.iter().any(is_refused) {
                    return Err("ValidationError".to_owned());
                }
                let listener = self.listener(&listener)?;
                if listener.rules.iter().any(|rule| rule.priority == priority) {
                    return Err("PriorityInUse".to_owned());
                }
                let arn = elbow_model::RuleArn::new(format!("{}/rule/{number}", listener.arn));
                listener.rules.push(ObservedRule {
                    arn: arn.clone(),
                    priority,
                    conditions,
                    actions: vec![Self::stored(&action)],
                    transforms,
                    tags,
                });
                listener.rules.sort_by_key(|rule| rule.priority);
                return Ok(Some(arn.to_string()));
            }
            AwsCall::ModifyRule {
                rule,
                conditions,
                action,
                transforms,
            } => {
                if conditions.is_none() && action.is_none() {
                    return Err("ValidationError".to_owned());
                }
                if let Some(action) = &action {
                    self.check_action(action)?;
                }
                let rule = self.rule(&rule)?;
                if let Some(conditions) = conditions {
                    rule.conditions = conditions;
                }
                if let Some(action) = action {
                    rule.actions = vec![Self::stored(&action)];
                }
                if let Some(transforms) = transforms {
                    rule.transforms = transforms;
                }
            }
            AwsCall::SetRulePriorities { priorities } => {
                for entry in &priorities {
                    self.rule(&entry.rule)?.priority = entry.priority;
                }
                for listener in self.balancers().flat_map(|lb| &mut lb.listeners) {
                    listener.rules.sort_by_key(|rule| rule.priority);
                    if listener
                        .rules
                        .windows(2)
                        .any(|w| w[0].priority == w[1].priority)
                    {
                        return Err("PriorityInUse".to_owned());
                    }
                }
            }
            AwsCall::DeleteRule { rule } => {
                let arn = self.rule(&rule)?.arn.clone();
                for listener in self.balancers().flat_map(|lb| &mut lb.listeners) {
                    listener.rules.retain(|rule| rule.arn != arn);
                }
            }
            AwsCall::AddTags { resource, tags } => self.tags(&resource)?.extend(tags),
            AwsCall::RemoveTags { resource, keys } => {
                self.tags(&resource)?.retain(|key, _| !keys.contains(key));
            }
            other => return Err(format!("{} is not a change", other.operation())),
        }
        Ok(None)
    }

    fn tags(&mut self, target: &TagTarget) -> Result<&mut Tags, String> {
        Ok(match target {
            TagTarget::LoadBalancer(arn) => &mut self.balancer(arn)?.tags,
            TagTarget::Listener(arn) => &mut self.listener(arn)?.tags,
            TagTarget::Rule(arn) => &mut self.rule(arn)?.tags,
            TagTarget::TargetGroup(arn) => &mut self.group(arn)?.tags,
            TagTarget::TrustStore(_) => return Err("TrustStoreNotFound".to_owned()),
        })
    }

    fn own(&mut self, stack: &StackId) -> &mut ObservedStack {
        self.observed.stacks.entry(stack.clone()).or_default()
    }

    /// Waits are over at once: what is in use and not broken is healthy, what drains is gone.
    fn wait(&mut self, wait: &Wait, provided: &Provided) -> Result<(), String> {
        let arn = |group: &Ref<TargetGroupArn>| match group {
            Ref::Known(arn) => Ref::Known(arn.clone()),
            Ref::Of(key) => Ref::Known(TargetGroupArn::new(provided[key].clone())),
        };
        match wait {
            Wait::TargetsHealthy { target_group, .. } => {
                let group = self.group(&arn(target_group))?;
                if elbow_plan::are_healthy(&group.targets) {
                    Ok(())
                } else {
                    Err(format!(
                        "timed out: targets of {} are not healthy",
                        group.name
                    ))
                }
            }
            Wait::TargetsDrained { target_group, .. } => {
                let group = self.group(&arn(target_group))?;
                group
                    .targets
                    .retain(|target| target.state != TargetState::Draining);
                if elbow_plan::are_drained(&group.targets) {
                    Ok(())
                } else {
                    Err(format!(
                        "timed out: targets of {} are not drained",
                        group.name
                    ))
                }
            }
            Wait::LoadBalancerActive { .. } => {
                self.balancers()
                    .for_each(|lb| lb.state = LoadBalancerState::Active);
                Ok(())
            }
        }
    }

    /// Lets consequences take their course: which groups are in use, and the health of targets.
    pub(crate) fn settle(&mut self) {
        let mut users: BTreeMap<TargetGroupArn, BTreeSet<LoadBalancerArn>> = BTreeMap::new();
        for lb in self.balancers() {
            for listener in &lb.listeners {
                let rules = listener.rules.iter().flat_map(|rule| &rule.actions);
                for action in rules.chain(&listener.default_actions) {
                    let Action::Forward(forward) = action else {
                        continue;
                    };
                    for group in &forward.target_groups {
                        let arn = group.target_group.known().unwrap().clone();
                        users.entry(arn).or_default().insert(lb.arn.clone());
                    }
                }
            }
        }
        let broken = self.broken.clone();
        for group in self.stacks().flat_map(|stack| &mut stack.target_groups) {
            group.load_balancers = users.remove(&group.arn).unwrap_or_default();
            assert!(
                group.load_balancers.len() <= 1,
                "TargetGroupAssociationLimit: {}",
                group.name
            );
            let in_use = !group.load_balancers.is_empty();
            // Nothing flows to a group that is not in use: its targets are gone at once.
            group
                .targets
                .retain(|target| in_use || target.state != TargetState::Draining);
            for target in &mut group.targets {
                target.state = match target.state {
                    TargetState::Draining if in_use => TargetState::Draining,
                    _ if !in_use => TargetState::Unused,
                    _ if broken.contains(&target.target.id) => TargetState::Unhealthy,
                    _ => TargetState::Healthy,
                };
            }
        }
    }

    /// What a request for this host and path gets, by name of the target group.
    pub(crate) fn route(&self, stack: &StackId, port: u16, host: &str, path: &str) -> String {
        let Some(listener) = self.observed.stacks.get(stack).and_then(|stack| {
            stack
                .load_balancers
                .iter()
                .flat_map(|lb| &lb.listeners)
                .find(|listener| listener.port == Port::new(port).unwrap())
        }) else {
            return "refused".to_owned();
        };
        let action = listener
            .rules
            .iter()
            .find(|rule| rule.conditions.iter().all(|c| matches(c, host, path)))
            .map_or(&listener.default_actions[0], |rule| &rule.actions[0]);
        match action {
            Action::Forward(forward) => {
                let mut receivers: Vec<String> = forward
                    .target_groups
                    .iter()
                    .filter(|group| group.weight != Some(0))
                    .map(|group| self.answer_of(stack, group.target_group.known().unwrap()))
                    .collect();
                receivers.sort();
                receivers.join("+")
            }
            Action::FixedResponse(response) => response.status_code.to_string(),
            Action::Redirect(redirect) => redirect.status_code.clone(),
            Action::Unmodeled { action_type } => action_type.clone(),
        }
    }

    fn answer_of(&self, stack: &StackId, arn: &TargetGroupArn) -> String {
        let group = self.observed.stacks[stack]
            .target_groups
            .iter()
            .find(|group| group.arn == *arn)
            .unwrap();
        // Load balancers fail open: without a healthy target they ask the others.
        let serves = group
            .targets
            .iter()
            .any(|target| matches!(target.state, TargetState::Healthy | TargetState::Unhealthy));
        if serves {
            group.name.clone()
        } else {
            "503".to_owned()
        }
    }
}

fn observed_target(target: Target, state: TargetState) -> ObservedTarget {
    ObservedTarget {
        target,
        state,
        reason: None,
        description: None,
    }
}

fn known(groups: &[Ref<SecurityGroupId>]) -> Result<BTreeSet<SecurityGroupId>, String> {
    groups
        .iter()
        .map(|group| {
            group
                .known()
                .cloned()
                .ok_or_else(|| "InvalidSecurityGroup".to_owned())
        })
        .collect()
}

/// AWS refuses patterns of more than 128 characters.
fn is_refused(condition: &Condition) -> bool {
    matches!(
        condition,
        Condition::PathPattern { matches: Pattern::Values(values) } if values.iter().any(|v| v.len() > 128)
    )
}

fn matches(condition: &Condition, host: &str, path: &str) -> bool {
    let glob = |pattern: &Pattern, text: &str| match pattern {
        Pattern::Values(values) => values.iter().any(|value| match value.strip_suffix('*') {
            Some(prefix) => text.starts_with(prefix),
            None => value == text,
        }),
        Pattern::RegexValues(_) => false,
    };
    match condition {
        Condition::HostHeader { matches } => glob(matches, host),
        Condition::PathPattern { matches } => glob(matches, path),
        _ => false,
    }
}
