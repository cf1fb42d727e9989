//! The emulator on real sockets: AWS wire protocols, health checks and the data plane.
