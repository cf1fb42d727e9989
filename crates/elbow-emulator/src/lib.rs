//! AWS as a pure state machine: ELBv2, EC2, ACM, STS and the routing decisions of ALB and NLB.
