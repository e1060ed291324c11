"""Stand-ins for the vendors, on loopback sockets."""
