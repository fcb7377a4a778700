# coturn, a STUN and TURN server. SIGUSR2 makes it read certificate and key again.

output "/run/coturn/tls" {
  group    = "turnserver"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["turnserver", "-c", "/etc/turnserver.conf", "--pidfile="]
  user        = "turnserver"
  group       = "turnserver"
  on_rotation = "SIGUSR2"

  proof {
    tls        = "127.0.0.1:5349"
    timeout    = "10s"
    on_failure = ["signal", "restart"]
  }
}
