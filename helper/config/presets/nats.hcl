# NATS with TLS. On SIGHUP it reads its configuration and, with it, certificate,
# key and authorities again. Connections go on.

output "/run/nats/tls" {
  group    = "nats"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["nats-server", "-c", "/etc/nats-server.conf"]
  user        = "nats"
  group       = "nats"
  on_rotation = "SIGHUP"

  # SIGUSR2 lets clients move to another server first; SIGTERM does not.
  signal_rewrite = { SIGTERM = "SIGUSR2" }

  proof {
    tls        = "127.0.0.1:4222"
    starttls   = "nats"
    timeout    = "10s"
    on_failure = ["signal"]
  }
}
