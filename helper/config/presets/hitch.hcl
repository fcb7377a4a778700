# hitch in the foreground. On SIGHUP it reads its configuration and its files again and
# starts new workers; the old ones finish their connections.

output "/run/hitch/tls" {
  x509_svid {
    combined = "hitch.pem" # hitch wants key and chain in one file
    bundle   = "ca.crt"
  }
}

process {
  command     = ["hitch", "--user=_hitch", "--group=_hitch", "--config=/etc/hitch/hitch.conf"]
  on_rotation = "SIGHUP"

  proof {
    tls        = "127.0.0.1:443"
    timeout    = "10s"
    on_failure = ["signal", "restart"]
  }
}
