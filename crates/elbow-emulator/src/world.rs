//! Building a world: what exists in the account before the first request, and what no modelled
//! operation can create (VPCs, subnets, instances).
