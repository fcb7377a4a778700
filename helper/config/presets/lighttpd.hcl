# lighttpd in the foreground. SIGUSR1 makes it read its configuration, certificate and
# authorities again, on the listening sockets that it has.

output "/run/lighttpd/tls" {
  group    = "www-data" # lighttpd reads them again after it has left root
  key_mode = "0640"

  x509_svid {
    combined = "lighttpd.pem" # key and chain in one file are never of two generations
    bundle   = "ca.crt"
  }
}

process {
  command     = ["lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf"]
  on_rotation = "SIGUSR1"

  # SIGTERM cuts requests off, SIGINT lets them finish.
  stop_signal  = "SIGINT"
  stop_timeout = "30s"

  proof {
    tls        = "127.0.0.1:443"
    timeout    = "10s"
    on_failure = ["signal", "restart"]
  }
}
