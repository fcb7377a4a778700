# HAProxy in master-worker mode. SIGUSR2 makes the master start itself anew with
# the new files; the listening sockets are handed over, and the old worker
# finishes its connections.

output "/run/haproxy/tls" {
  x509_svid {
    combined = "haproxy.pem" # HAProxy wants key and chain in one file
    bundle   = "ca.pem"
  }
}

process {
  command     = ["haproxy", "-W", "-f", "/etc/haproxy/haproxy.cfg"]
  on_rotation = "SIGUSR2"

  # SIGTERM would cut connections off; after SIGUSR1 they may end.
  stop_signal  = "SIGUSR1"
  stop_timeout = "30s"

  proof {
    tls = "127.0.0.1:8443"
    # HAProxy loses a SIGUSR2 that arrives at the end of an earlier reload: it
    # gets another one soon.
    timeout    = "5s"
    on_failure = ["signal", "signal", "restart"]
  }
}
