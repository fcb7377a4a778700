# stunnel in the foreground. On SIGHUP it reads its whole configuration again,
# certificate, key and authorities included, and closes its listening socket for
# a moment: helper-socket.conf shows how clients do not notice.

output "/run/stunnel4/tls" {
  group    = "stunnel4"
  key_mode = "0640"

  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}

process {
  command     = ["stunnel4", "/etc/stunnel/stunnel.conf"]
  user        = "stunnel4"
  group       = "stunnel4"
  on_rotation = "SIGHUP"

  proof {
    tls        = "127.0.0.1:8443"
    timeout    = "10s"
    on_failure = ["signal", "restart"]
  }
}
