//! The data plane end to end, over loopback sockets at ports that the system chooses.
//!
//! Always: nothing here sleeps; each test waits for the bytes or the watch that it wants to see.

mod alb;
mod client;
mod health;
mod mutual_tls;
mod nlb;
mod world;
