# Squid in the foreground. On SIGHUP it reads its configuration, certificate and
# authorities again; its listening sockets are closed and opened meanwhile.

output "/run/squid/tls" {
  x509_svid {
    combined = "squid.pem" # key and chain in one file are never of two generations
    bundle   = "ca.crt"
  }
}

process {
  command     = ["squid", "--foreground", "-sYC"]
  on_rotation = "SIGHUP"

  # Squid lets its connections end for shutdown_lifetime.
  stop_timeout = "60s"

  proof {
    tls        = "127.0.0.1:3129"
    timeout    = "10s"
    on_failure = ["signal", "restart"]
  }
}
